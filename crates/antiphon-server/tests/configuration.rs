//! The configuration as an operator meets it: through the program that was built.

mod support;

use std::fs;

use support::{Program, antiphon};

fn shown(program: Program, key: &str) -> String {
    let finished = program.run();
    assert_eq!(finished.code, 0, "{}", finished.stderr);
    let line = finished.stdout.lines().find(|line| line.starts_with(&format!("{key} = ")));
    line.unwrap_or_else(|| panic!("no {key} in:\n{}", finished.stdout)).to_owned()
}

#[test]
fn flags_win_over_the_environment_and_that_over_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("antiphon.toml");
    fs::write(&file, "rate_limit = 3\ndrain = '3s'\nlisten = '127.0.0.1:3'\n").unwrap();
    let program = || {
        antiphon(&["config", "show", "--rate-limit", "1"])
            .arg("--config")
            .arg(&file)
            .env("ANTIPHON_RATE_LIMIT", "2")
            .env("ANTIPHON_DRAIN", "2s")
    };
    assert_eq!(shown(program(), "rate_limit"), "rate_limit = 1  # --rate-limit");
    assert_eq!(shown(program(), "drain"), "drain = \"2s\"  # ANTIPHON_DRAIN");
    assert!(shown(program(), "listen").starts_with("listen = \"127.0.0.1:3\"  # "));
    assert_eq!(shown(program(), "drain_delay"), "drain_delay = \"0s\"  # default");
}

#[test]
fn a_variable_may_name_a_file_that_holds_the_value() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("limit");
    fs::write(&file, "42\n").unwrap();
    let program = || antiphon(&["config", "show"]).env("ANTIPHON_RATE_LIMIT_FILE", &file);
    assert_eq!(shown(program(), "rate_limit"), "rate_limit = 42  # ANTIPHON_RATE_LIMIT_FILE");
    let both = program().env("ANTIPHON_RATE_LIMIT", "1").run();
    assert_eq!(both.code, 2);
    assert!(both.stderr.contains("both set"), "{}", both.stderr);
    let missing = antiphon(&["config", "show"]).env("ANTIPHON_DATABASE_FILE", "/nowhere/at/all").run();
    assert_eq!(missing.code, 2);
    assert!(missing.stderr.contains("ANTIPHON_DATABASE_FILE"), "{}", missing.stderr);
}

#[test]
fn the_configuration_file_may_be_named_by_the_environment() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("antiphon.toml");
    fs::write(&file, "rate-limit = 9\n[limits]\ntick = '1s'\n").unwrap();
    let program = || antiphon(&["config", "show"]).env("ANTIPHON_CONFIG", &file);
    assert!(shown(program(), "rate_limit").starts_with("rate_limit = 9 "));
    assert!(shown(program(), "tick").starts_with("tick = \"1s\" "));
}

#[test]
fn an_unknown_key_ends_with_status_2_and_the_nearest_known_one() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("antiphon.toml");
    fs::write(&file, "lisen = '127.0.0.1:1'\n").unwrap();
    for command in [&["config", "check"][..], &["config", "show"], &["serve"], &["migrate"], &["key", "list"]]
    {
        let finished = antiphon(command).arg("--config").arg(&file).run();
        assert_eq!(finished.code, 2, "{command:?}");
        assert!(
            finished.stderr.contains("unknown key `lisen`, did you mean `listen`?"),
            "{command:?}: {}",
            finished.stderr
        );
    }
}

#[test]
fn an_unknown_variable_is_a_warning_alone() {
    let finished = antiphon(&["config", "check"]).env("ANTIPHON_REDSI", "x").run();
    assert_eq!(finished.code, 0);
    assert!(finished.stderr.contains("did you mean `ANTIPHON_REDIS`?"), "{}", finished.stderr);
}

#[test]
fn a_variable_that_resembles_none_is_not_taken_for_one_by_its_prefix() {
    for name in ["ANTIPHON_URL", "ANTIPHON_ENDPOINT", "ANTIPHON_BASE_URL"] {
        let finished = antiphon(&["config", "check"]).env(name, "x").run();
        let warning = format!("warning: unknown environment variable `{name}`\n");
        assert_eq!((finished.code, finished.stderr), (0, warning));
    }
}

#[test]
fn the_key_of_soak_may_be_in_the_environment_of_all() {
    for name in ["ANTIPHON_API_KEY", "ANTIPHON_API_KEY_FILE"] {
        let finished = antiphon(&["config", "check"]).env(name, "x").run();
        assert_eq!((finished.code, finished.stderr.as_str()), (0, ""));
    }
}

#[test]
fn a_good_configuration_is_said_with_what_was_not_looked_at() {
    let finished = antiphon(&["config", "check", "--database", "postgres://app@127.0.0.1:1/d"]).run();
    assert_eq!(finished.code, 0, "{}", finished.stderr);
    assert!(finished.stdout.contains("can be reached") && finished.stdout.contains("is not checked"));
}

#[test]
fn options_of_other_subcommands_may_stand_beside_those_of_serve_and_a_port_is_worth_a_word() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("antiphon.toml");
    fs::write(&file, "tenant = 'acme'\nttl = '5m'\nscope = 'publish'\n").unwrap();
    let check = || antiphon(&["config", "check"]).arg("--config").arg(&file);
    let finished = check().run();
    assert_eq!((finished.code, finished.stderr.as_str()), (0, ""));
    let finished = check().env("ANTIPHON_PORT", "9000").run();
    assert_eq!(finished.code, 0);
    assert!(finished.stderr.contains("ANTIPHON_PORT: `port` is the demo's alone"), "{}", finished.stderr);
}

#[test]
fn what_can_not_be_is_refused_with_status_2() {
    for args in [
        &["--database", "sqlite:./a.db", "--redis", "redis://h"][..],
        &["--database", "mysql://h/d"],
        &["--redis-plain-topics"],
        &["--tls-cert", "a.pem"],
        &["--drain", "10"],
        &["--rate-limit", "-1"],
        &["--listen", "8080"],
        &["--trusted-proxy", "10.0.0.0/33"],
        &["--allowed-origin", "https://*.example.com/"],
        &["--allowed-origin", "https://example.com/path"],
        &["--log", "xml"],
        &["--max-connections", "0"],
        &["--no-such-option"],
    ] {
        let finished = antiphon(&["config", "check"]).args(args).run();
        assert_eq!(finished.code, 2, "{args:?}: {}", finished.stderr);
        assert!(finished.stdout.is_empty(), "{args:?}");
    }
    assert_eq!(antiphon(&[]).run().code, 2);
    assert_eq!(antiphon(&["no-such-command"]).run().code, 2);
}

#[test]
fn a_log_level_that_is_none_is_blamed_on_its_source_with_those_that_are() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("antiphon.toml");
    fs::write(&file, "log_level = 'bogus'\n").unwrap();
    let check = || antiphon(&["config", "check"]);
    let serve = || antiphon(&["serve", "--listen", "127.0.0.1:0"]);
    for (finished, source) in [
        (check().args(&["--log-level", "bogus"]).run(), "--log-level: "),
        (serve().args(&["--log-level", "bogus"]).run(), "--log-level: "),
        (check().env("ANTIPHON_LOG_LEVEL", "info,redis=loud").run(), "ANTIPHON_LOG_LEVEL: "),
        (check().arg("--config").arg(&file).run(), "antiphon.toml: "),
    ] {
        assert_eq!(finished.code, 2, "{source}{}", finished.stderr);
        let words =
            finished.stderr.contains(source) && finished.stderr.contains("`error`, `warn`, `info`, `debug`");
        assert!(words, "{}", finished.stderr);
    }
}

#[test]
fn a_rule_a_key_or_a_bound_that_can_not_be_is_refused_with_status_2() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("antiphon.toml");
    for (text, words) in [
        ("[[topics]]\nmatch = 'a'\nsubscribe = 'everyone'\npublish = 'users'", "topics"),
        ("[[topics]]\nmatch = 'a'\nsubscribe = 'members'\npublish = 'users'", "`members` and `self`"),
        ("[[topics]]\nmatch = 'a'\nsubscribe = 'self'\npublish = 'users'", "`[[topics]]`: rule 1 (`a`): "),
        ("[[topics]]\nmatch = '*a*'\nsubscribe = 'users'\npublish = 'users'", "one `*`"),
        ("[jwt]\nsecret = 'short'", "32 bytes"),
        ("[jwt]\npublic_key = '/nowhere.pem'", "/nowhere.pem"),
        ("[limits]\nring_entries = 0", "ring_entries"),
        ("[limits]\nlease_ttl = '1s'", "lease_ttl"),
        ("[limits]\nfence = '1s'", "fence"),
        ("fence = 'open'", "fence"),
        ("[limits]\nhead_bytes = 4096", "a whole number from 8192 to"),
        ("rate_limit = '5'", "rate_limit"),
        ("listen = ", "antiphon.toml:1"),
    ] {
        fs::write(&file, text).unwrap();
        let finished = antiphon(&["config", "check", "--config"]).arg(&file).run();
        assert_eq!(finished.code, 2, "{text}");
        assert!(finished.stderr.contains(words), "{text}: {}", finished.stderr);
    }
}

#[test]
fn a_good_file_with_every_section_is_taken() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("antiphon.toml");
    fs::write(
        &file,
        r#"
        database = "postgres://app@db/antiphon"
        redis = "rediss://cache:6380"
        redis_plain_topics = true
        allowed_origin = ["https://app.example.com", "http://localhost:3000"]
        trusted-proxy = "10.0.0.0/8"
        [[topics]]
        match = "room:*"
        subscribe = "members"
        publish = "none"
        [jwt]
        secret = "a secret of more than thirty-two bytes"
        issuer = "https://issuer.example"
        [limits]
        ring_age = "1m"
        "#,
    )
    .unwrap();
    let finished = antiphon(&["config", "check", "--config"]).arg(&file).run();
    assert_eq!((finished.code, finished.stderr.as_str()), (0, ""));
    let rules = antiphon(&["config", "show", "--config"]).arg(&file).run().stdout;
    assert!(rules.contains("match = \"room:*\"") && !rules.contains("thirty-two"), "{rules}");
}

#[test]
fn no_password_is_ever_printed() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("antiphon.toml");
    let text = "database = 'postgres://app:canary@127.0.0.1:1/d'\nredis = 'redis://:canary@127.0.0.1:1'\n\
                [jwt]\nsecret = 'canary canary canary canary canary'\njwks_url = 'http://u:canary@127.0.0.1:1/'\n";
    for (text, command) in [
        (text.to_owned(), &["config", "show"][..]),
        (text.to_owned(), &["config", "check"]),
        (text.to_owned(), &["key", "list"]),
        (text.to_owned(), &["migrate"]),
        (text.replace("redis://", "rediss:/"), &["config", "check"]),
        (text.replace("postgres://", "oracle://"), &["config", "check"]),
        (text.replace("/d'", "/d"), &["config", "check"]),
    ] {
        fs::write(&file, &text).unwrap();
        let finished = antiphon(command).arg("--config").arg(&file).run();
        let said = finished.stdout + &finished.stderr;
        assert!(!said.contains("canary"), "{command:?}: {said}");
    }
}

#[test]
fn the_schema_is_one_that_names_every_key() {
    let finished = antiphon(&["config", "schema"]).run();
    let schema: serde_json::Value = serde_json::from_str(&finished.stdout).unwrap();
    assert_eq!(schema["additionalProperties"], false);
    assert_eq!(schema["properties"]["drain"]["default"], "10s");
    assert_eq!(schema["properties"]["limits"]["properties"]["ring_bytes"]["default"], 262_144);
    let least = |key: &str| schema["properties"]["limits"]["properties"][key]["minimum"].clone();
    assert_eq!((least("ring_entries"), least("head_bytes")), (1.into(), 8192.into()));
    assert_eq!(schema["properties"]["max_connections"]["minimum"], 1);
    assert_eq!(least("tick"), serde_json::Value::Null, "a duration is a text");
    assert_eq!(schema["properties"]["topics"]["items"]["required"].as_array().unwrap().len(), 3);
}

#[test]
fn the_unit_of_systemd_sets_no_variable_so_that_the_file_is_what_counts() {
    let unit =
        fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../packaging/antiphon.service")).unwrap();
    let variables: Vec<&str> = unit.lines().filter(|line| line.starts_with("Environment")).collect();
    assert_eq!(variables, [""; 0]);
}

#[test]
fn the_sample_of_the_configuration_changes_nothing_and_each_line_of_it_could_be_used() {
    let sample = concat!(env!("CARGO_MANIFEST_DIR"), "/../../packaging/antiphon.toml");
    let shown = |file: &std::path::Path| antiphon(&["config", "show", "--config"]).arg(file).run();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("antiphon.toml");
    fs::write(&file, "").unwrap();
    assert_eq!(shown(sample.as_ref()).stdout, shown(&file).stdout);
    // A `#` before a letter or bracket is an option; that of SQLite has its other in the next line.
    let text = fs::read_to_string(sample).unwrap();
    let used =
        text.lines().filter(|line| !line.contains("sqlite:")).map(|line| match line.strip_prefix('#') {
            Some(rest) if rest.starts_with(|c: char| c == '[' || c.is_ascii_lowercase()) => rest,
            _ => line,
        });
    fs::write(&file, used.collect::<Vec<_>>().join("\n")).unwrap();
    let finished = shown(&file);
    assert_eq!((finished.code, finished.stderr.as_str()), (0, ""));
    assert!(finished.stdout.contains("jwks_url = \"https://issuer.example"), "{}", finished.stdout);
    let unit =
        fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../packaging/antiphon.service")).unwrap();
    for file in unit.split_whitespace().filter(|word| word.starts_with("packaging/")) {
        assert!(fs::exists(format!("{}/../../{file}", env!("CARGO_MANIFEST_DIR"))).unwrap(), "{file}");
    }
}

#[test]
fn the_page_on_configuration_names_every_option_with_its_default_and_in_the_words_of_help() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/operations/configuration.md");
    let page = fs::read_to_string(page).unwrap();
    let schema: serde_json::Value =
        serde_json::from_str(&antiphon(&["config", "schema"]).run().stdout).unwrap();
    let mut pending = vec![(String::new(), &schema["properties"])];
    while let Some((prefix, properties)) = pending.pop() {
        for (name, property) in properties.as_object().unwrap() {
            let key = format!("{prefix}{name}");
            if property["properties"].is_object() {
                pending.push((format!("{key}."), &property["properties"]));
                continue;
            }
            let row = page.lines().find(|line| line.starts_with(&format!("| `{key}`")));
            let row = row.unwrap_or_else(|| panic!("{key} has no row in configuration.md"));
            let default = match &property["default"] {
                serde_json::Value::String(text) => text.clone(),
                serde_json::Value::Null | serde_json::Value::Array(_) => "none".into(),
                other => other.to_string(),
            };
            assert!(row.contains(&default), "the row of {key} lacks its default {default}: {row}");
            let doc = property["description"].as_str().unwrap().replace('\n', " ");
            assert!(key == "topics" || row.contains(&doc), "the row of {key} does not say {doc:?}: {row}");
        }
    }
}
