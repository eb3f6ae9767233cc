//! A Rust source as the rules see it: comments, strings and tests told apart from the code.
//!
//! A scanner of the lexical level alone: strings of all kinds, characters, nested comments, matching brackets. It needs
//! no parser, and a rule that reads the masked code is never fooled by a word in a comment.

/// A string literal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Literal {
    /// Where its first quote (or `r`, `b`) stands.
    pub start: usize,
    /// Behind its last quote.
    pub end: usize,
    /// What stands between the quotes, escapes as they are written.
    pub text: String,
}

/// One `.rs` file.
#[derive(Debug, Clone)]
pub struct Source {
    /// Its path from the project's root.
    pub path: String,
    /// Its text.
    pub text: String,
    /// The text with comments and the contents of strings blanked, byte for byte at the same place.
    pub code: String,
    /// Its string literals, in order.
    pub literals: Vec<Literal>,
    /// Byte ranges that are compiled for tests alone.
    tests: Vec<(usize, usize)>,
    all_test: bool,
}

impl Source {
    pub fn new(path: &str, text: &str) -> Self {
        let (code, literals) = mask(text);
        let tests = test_regions(&code);
        let all_test = path.split('/').any(|part| part == "tests" || part == "benches");
        Self { path: path.to_owned(), text: text.to_owned(), code, literals, tests, all_test }
    }

    pub fn mark_as_test(&mut self) {
        self.all_test = true;
    }

    /// Whether the whole file is compiled for tests alone.
    pub fn is_test(&self) -> bool {
        self.all_test
    }

    /// Whether the byte at `at` is compiled for tests alone.
    pub fn in_test(&self, at: usize) -> bool {
        self.all_test || self.tests.iter().any(|(start, end)| (*start..*end).contains(&at))
    }

    /// The code with what is for tests alone blanked too.
    pub fn code_without_tests(&self) -> String {
        let mut code = self.code.clone().into_bytes();
        if self.all_test {
            blank(&mut code, 0, self.code.len());
        }
        for (start, end) in &self.tests {
            blank(&mut code, *start, *end);
        }
        String::from_utf8_lossy(&code).into_owned()
    }

    /// The line of the byte at `at`, from 1.
    pub fn line(&self, at: usize) -> usize {
        line_of(&self.text, at)
    }

    /// The text of a line, from 1; empty beyond the file.
    pub fn line_text(&self, line: usize) -> &str {
        line.checked_sub(1).and_then(|index| self.text.lines().nth(index)).unwrap_or_default()
    }

    /// Where `needle` stands in the code as words of its own.
    pub fn find(&self, needle: &str) -> Vec<usize> {
        find_words(&self.code, needle)
    }

    /// The files in which modules may live that this file declares under `#[cfg(test)]`.
    pub fn files_of_test_modules(&self) -> Vec<String> {
        let mut files = Vec::new();
        for (start, end) in &self.tests {
            let item = &self.code[*start..*end];
            let Some(at) = find_words(item, "mod ").first().copied() else { continue };
            let Some(name) = item[at + 4..].trim().strip_suffix(';') else { continue };
            let folder = module_folder(&self.path);
            files.push(format!("{folder}/{name}.rs"));
            files.push(format!("{folder}/{name}/mod.rs"));
        }
        files
    }
}

/// The folder in which the modules that `path` declares are looked for.
fn module_folder(path: &str) -> String {
    let (folder, file) = path.rsplit_once('/').unwrap_or(("", path));
    match file {
        "lib.rs" | "main.rs" | "mod.rs" => folder.to_owned(),
        _ => path.trim_end_matches(".rs").to_owned(),
    }
}

/// The line of the byte at `at` of `text`, from 1.
pub fn line_of(text: &str, at: usize) -> usize {
    text.as_bytes()[..at.min(text.len())].iter().filter(|byte| **byte == b'\n').count() + 1
}

/// Whether a byte can stand in an identifier.
pub fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// Where `needle` stands in `code` without being the part of a longer word.
pub fn find_words(code: &str, needle: &str) -> Vec<usize> {
    let bytes = code.as_bytes();
    let (first, last) = (needle.as_bytes()[0], needle.as_bytes()[needle.len() - 1]);
    code.match_indices(needle)
        .map(|(at, _)| at)
        .filter(|at| !is_word(first) || *at == 0 || !is_word(bytes[at - 1]))
        .filter(|at| !is_word(last) || bytes.get(at + needle.len()).is_none_or(|byte| !is_word(*byte)))
        .collect()
}

/// Behind the bracket that closes the one at `open`; the end where none does.
pub fn closing(code: &str, open: usize) -> usize {
    let mut depth = 0_usize;
    for (at, byte) in code.bytes().enumerate().skip(open) {
        match byte {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return at + 1;
                }
            }
            _ => {}
        }
    }
    code.len()
}

/// Items under `#[cfg(test)]` and functions under `#[test]`, from the attribute to the item's end.
fn test_regions(code: &str) -> Vec<(usize, usize)> {
    let mut regions = Vec::new();
    for attribute in ["#[cfg(test)]", "#[cfg(all(test", "#[test]", "#[tokio::test"] {
        for (start, _) in code.match_indices(attribute) {
            let mut at = closing(code, start + 1);
            // Further attributes of the same item.
            while code[at..].trim_start().starts_with("#[") {
                at = closing(code, at + code[at..].find('[').unwrap_or(0));
            }
            let body = code[at..].find(['{', ';']).map_or(code.len(), |offset| at + offset);
            let end = if code[body..].starts_with('{') { closing(code, body) } else { body + 1 };
            regions.push((start, end.min(code.len())));
        }
    }
    regions
}

fn blank(bytes: &mut [u8], start: usize, end: usize) {
    for byte in &mut bytes[start..end] {
        if *byte != b'\n' {
            *byte = b' ';
        }
    }
}

/// Blanks comments and the contents of strings.
fn mask(text: &str) -> (String, Vec<Literal>) {
    let bytes = text.as_bytes();
    let mut code = bytes.to_vec();
    let mut literals = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let rest = &bytes[at..];
        let end = if rest.starts_with(b"//") {
            let end = rest.iter().position(|byte| *byte == b'\n').map_or(bytes.len(), |offset| at + offset);
            blank(&mut code, at, end);
            end
        } else if rest.starts_with(b"/*") {
            let end = block_comment_end(bytes, at);
            blank(&mut code, at, end);
            end
        } else if let Some((open, close, end)) = string(bytes, at) {
            blank(&mut code, open, close);
            literals.push(Literal { start: at, end, text: text[open..close].to_owned() });
            end
        } else if let Some(end) = character(bytes, at) {
            blank(&mut code, at + 1, end - 1);
            end
        } else if is_word(bytes[at]) {
            // A whole word at once: the `r` of `var"…"` begins no raw string.
            at + rest.iter().position(|byte| !is_word(*byte)).unwrap_or(rest.len())
        } else {
            at + 1
        };
        at = end;
    }
    // Only whole characters were replaced, by ASCII.
    (String::from_utf8_lossy(&code).into_owned(), literals)
}

fn block_comment_end(bytes: &[u8], start: usize) -> usize {
    let (mut depth, mut at) = (0, start);
    while at < bytes.len() {
        if bytes[at..].starts_with(b"/*") {
            (depth, at) = (depth + 1, at + 2);
        } else if bytes[at..].starts_with(b"*/") {
            (depth, at) = (depth - 1, at + 2);
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    bytes.len()
}

/// A string literal at `at`: where its content starts and ends, and where it ends itself.
fn string(bytes: &[u8], at: usize) -> Option<(usize, usize, usize)> {
    let prefix = bytes[at..].iter().take_while(|byte| matches!(byte, b'b' | b'r' | b'c')).count().min(2);
    let raw = bytes[at..at + prefix].contains(&b'r');
    let hashes = if raw { bytes[at + prefix..].iter().take_while(|byte| **byte == b'#').count() } else { 0 };
    let open = at + prefix + hashes;
    if bytes.get(open) != Some(&b'"') {
        return None;
    }
    let mut close = open + 1;
    while close < bytes.len() {
        match bytes[close] {
            b'\\' if !raw => close += 1,
            b'"' if bytes[close + 1..].iter().take(hashes).filter(|byte| **byte == b'#').count()
                == hashes =>
            {
                return Some((open + 1, close, close + 1 + hashes));
            }
            _ => {}
        }
        close += 1;
    }
    Some((open + 1, bytes.len(), bytes.len()))
}

/// The end of a character literal at `at`; none for a lifetime.
fn character(bytes: &[u8], at: usize) -> Option<usize> {
    if bytes[at] != b'\'' {
        return None;
    }
    if bytes.get(at + 1) == Some(&b'\\') {
        let close = bytes[at + 3..].iter().position(|byte| *byte == b'\'')?;
        return Some(at + 3 + close + 1);
    }
    // One character of up to four bytes, then the quote.
    (2..=5).map(|offset| at + offset).find(|close| bytes.get(*close) == Some(&b'\'')).and_then(|close| {
        std::str::from_utf8(&bytes[at + 1..close])
            .is_ok_and(|text| text.chars().count() == 1)
            .then_some(close + 1)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_strings_are_no_code() {
        let text = r##"let a = "unsafe \" {"; // unsafe
/* unsafe /* nested */ } */ let b = r#"raw " unsafe"#; let c = '{'; let d: &'static str = b"x{";"##;
        let source = Source::new("a.rs", text);
        assert!(!source.code.contains("unsafe"));
        assert!(!source.code.contains('{') && !source.code.contains('}'));
        assert!(source.code.contains("&'static str"));
        assert_eq!(source.code.len(), text.len());
        let texts: Vec<_> = source.literals.iter().map(|literal| literal.text.as_str()).collect();
        assert_eq!(texts, [r#"unsafe \" {"#, r#"raw " unsafe"#, "x{"]);
    }

    #[test]
    fn what_is_under_cfg_test_is_a_test_and_what_follows_is_not() {
        let text =
            "fn a() {}\n#[cfg(test)]\n#[allow(x)]\nmod tests {\n fn b() { let c = \"}\"; }\n}\nfn d() {}\n";
        let source = Source::new("a.rs", text);
        let at = |needle| source.text.find(needle).unwrap();
        assert!(!source.in_test(at("fn a")));
        assert!(source.in_test(at("fn b")));
        assert!(!source.in_test(at("fn d")));
        assert!(!source.code_without_tests().contains("fn b"));
        assert!(source.code_without_tests().contains("fn d"));
    }

    #[test]
    fn a_test_module_in_a_file_of_its_own_is_found() {
        let source = Source::new("crates/a/src/feed.rs", "#[cfg(test)]\nmod tests;\n");
        assert_eq!(source.files_of_test_modules()[0], "crates/a/src/feed/tests.rs");
        let source = Source::new("crates/a/src/lib.rs", "#[cfg(test)]\nmod tests;\n");
        assert_eq!(source.files_of_test_modules()[0], "crates/a/src/tests.rs");
    }

    #[test]
    fn a_word_is_found_only_as_a_word() {
        assert_eq!(find_words("unsafe_code unsafe {", "unsafe"), [12]);
        assert_eq!(find_words("asleep(1) sleep(2)", "sleep("), [10]);
    }
}
