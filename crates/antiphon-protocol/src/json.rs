//! Bounds on JSON from outside, checked before it is parsed or kept.

/// How deep arrays and objects may stand in each other.
pub const MAX_DEPTH: usize = 32;

/// False where arrays and objects stand deeper in each other than [`MAX_DEPTH`]. One pass, no recursion.
pub fn check_nesting(json: &str) -> bool {
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
                if depth > MAX_DEPTH {
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
        assert!(check_nesting(&format!("{}{}", "[".repeat(32), "]".repeat(32))));
        assert!(!check_nesting(&"[".repeat(33)));
        assert!(check_nesting(&format!("\"{}\"", "[{\\\"".repeat(1000))));
    }
}
