// Lists the operations of the OpenAPI document, each with a form that sends it.
const main = document.getElementById("operations");
const bearer = document.getElementById("bearer");
const filter = document.getElementById("filter");

const make = (tag, properties = {}, ...children) => {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
};

// A path may break behind each stroke, and nowhere else while there is room.
const breakable = (path) => path.split("/").flatMap((part, index) => (index ? ["/", document.createElement("wbr"), part] : [part]));

// What stands between backticks is code.
const prose = (text) => text.split("`").map((part, index) => (index % 2 ? make("code", { textContent: part }) : part));

const example = (schema, schemas) => {
  if (!schema) return undefined;
  if (schema.$ref) return example(schemas[schema.$ref.split("/").pop()], schemas);
  const type = [schema.type].flat()[0];
  if (type === "array") return [example(schema.items, schemas)];
  if (type === "integer") return 60;
  if (type === "boolean") return true;
  if (!schema.properties) return "";
  const required = new Set(schema.required ?? []);
  const names = Object.keys(schema.properties);
  const shown = names.filter((name) => required.has(name));
  return Object.fromEntries((shown.length ? shown : names.slice(0, 1)).map((name) => [name, example(schema.properties[name], schemas)]));
};

const operation = (path, method, spec, schemas) => {
  const fields = (spec.parameters ?? []).map((parameter) => ({
    parameter,
    input: make("input", { name: parameter.name, required: parameter.in === "path", autocomplete: "off" }),
  }));
  const content = spec.requestBody?.content?.["application/json"];
  const prefilled = content && (content.example ?? example(content.schema, schemas) ?? {});
  const body = content && make("textarea", { value: JSON.stringify(prefilled, null, 2), spellcheck: false });
  const output = make("pre", { hidden: true });
  const form = make("form", {}, ...fields.map(({ parameter, input }) => make("label", {}, `${parameter.name} (${parameter.in})`, input)));
  if (body) form.append(make("label", {}, "body", body));
  form.append(make("button", { type: "submit", textContent: "Send" }), output);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    let filled = path;
    const query = new URLSearchParams();
    for (const { parameter, input } of fields) {
      if (parameter.in === "path") filled = filled.replace(`{${parameter.name}}`, encodeURIComponent(input.value));
      else if (input.value) query.set(parameter.name, input.value);
    }
    // Relative to this script, so that it works below any prefix.
    const url = new URL(`..${filled}`, import.meta.url).href;
    const headers = bearer.value ? { authorization: `Bearer ${bearer.value}` } : {};
    if (body) headers["content-type"] = "application/json";
    output.hidden = false;
    try {
      const response = await fetch(query.size ? `${url}?${query}` : url, { method: method.toUpperCase(), headers, body: body?.value });
      const text = await response.text();
      let shown = text;
      try { shown = JSON.stringify(JSON.parse(text), null, 2); } catch { /* not JSON: shown as it is */ }
      output.textContent = `${response.status} ${response.statusText}\n${shown}`;
    } catch (error) {
      output.textContent = String(error);
    }
  });
  const summary = make("summary", {},
    make("span", { className: `method ${method}`, textContent: method.toUpperCase() }),
    make("code", {}, ...breakable(path)),
    make("small", {}, ...prose(spec.summary ?? spec.description ?? "")));
  return make("details", {}, summary, form);
};

const api = await (await fetch(new URL("openapi.json", import.meta.url))).json();
const groups = new Map();
for (const [path, methods] of Object.entries(api.paths)) {
  for (const [method, spec] of Object.entries(methods)) {
    const tag = spec.tags?.[0] ?? "other";
    if (!groups.has(tag)) groups.set(tag, []);
    groups.get(tag).push(operation(path, method, spec, api.components?.schemas ?? {}));
  }
}
for (const [tag, operations] of groups) main.append(make("section", {}, make("h2", { textContent: tag }), ...operations));

filter.addEventListener("input", () => {
  for (const details of main.querySelectorAll("details")) {
    details.hidden = !details.textContent.toLowerCase().includes(filter.value.toLowerCase());
  }
});
