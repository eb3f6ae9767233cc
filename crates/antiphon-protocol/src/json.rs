//! Bounds on JSON from outside, checked before it is parsed or kept.

/// How deep arrays and objects may stand in each other in an entry's or signal's body.
pub const MAX_DEPTH: usize = 32;

/// False where arrays and objects stand deeper in each other than [`MAX_DEPTH`], of which so many are around what is said. One
/// pass, no recursion.
pub fn check_nesting(json: &str, around: usize) -> bool {
    let most = MAX_DEPTH + around;
    let (mut depth, mut in_string, mut escaped) = (0usize, false, false);
    for byte in json.bytes() {
        if in_string {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => in_string = false,
                _ => {}
            }
            continue;
        }
        match byte {
            b'"' => in_string = true,
            b'[' | b'{' => {
                depth += 1;
                if depth > most {
                    return false;
                }
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_real_nesting_counts() {
        assert!(check_nesting(&format!("{}{}", "[".repeat(32), "]".repeat(32)), 0));
        assert!(!check_nesting(&"[".repeat(33), 0));
        assert!(check_nesting(&"[".repeat(33), 1) && !check_nesting(&"[".repeat(34), 1));
        assert!(check_nesting(&format!("\"{}\"", "[{\\\"".repeat(1000)), 0));
    }
}
