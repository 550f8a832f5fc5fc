//! How Go writes JSON.

use serde::Serialize;

/// A value as Go's encoder writes it, which keeps markup out of what a browser might take for a page. Without the line end that it sets after it.
pub fn render(value: &impl Serialize) -> String {
    let text = serde_json::to_string(value).expect("words and numbers are JSON");
    let is_plain = |character: char| !matches!(character, '<' | '>' | '&' | '\u{2028}' | '\u{2029}');
    if text.chars().all(is_plain) {
        return text;
    }
    // They stand in strings only.
    text.chars().fold(String::with_capacity(text.len() + 16), |mut escaped, character| {
        if is_plain(character) {
            escaped.push(character);
        } else {
            escaped.push_str(&format!("\\u{:04x}", u32::from(character)));
        }
        escaped
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_written_as_go_writes_it() {
        assert_eq!(render(&"a<b> & \u{2028}\"c\""), r#""a\u003cb\u003e \u0026 \u2028\"c\"""#);
        assert_eq!(render(&["plain"]), r#"["plain"]"#);
    }
}
