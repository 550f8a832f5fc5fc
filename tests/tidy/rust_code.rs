//! Just enough of Rust to tell code from comments, text and tests.

use crate::TextFile;

/// The same text with comments and the insides of literals replaced by spaces. Lines stay where they are.
pub fn code_only(source: &str) -> String {
    let chars: Vec<char> = source.chars().collect();
    let mut code = String::with_capacity(source.len());
    let mut at = 0;
    while at < chars.len() {
        let end = match chars[at] {
            '/' if chars.get(at + 1) == Some(&'/') => line_end(&chars, at),
            '/' if chars.get(at + 1) == Some(&'*') => block_comment_end(&chars, at),
            '"' => string_end(&chars, at),
            'r' if !is_word(before(&chars, at)) => raw_string_end(&chars, at).unwrap_or(at),
            '\'' => char_end(&chars, at).unwrap_or(at),
            _ => at,
        };
        if end == at {
            code.push(chars[at]);
            at += 1;
        } else {
            code.extend(chars[at..end].iter().map(|char| if *char == '\n' { '\n' } else { ' ' }));
            at = end;
        }
    }
    code
}

/// What is built into the product: nothing of a file of tests, and of others what stands before their tests.
pub fn product_only(file: &TextFile) -> &str {
    if file.path.ends_with("tests.rs") {
        return "";
    }
    file.text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default()
}

/// The words of code: identifiers and keywords.
pub fn words(code: &str) -> impl Iterator<Item = &str> {
    code.split(|char: char| !is_word(Some(char))).filter(|word| !word.is_empty())
}

fn is_word(char: Option<char>) -> bool {
    char.is_some_and(|char| char.is_alphanumeric() || char == '_')
}

fn before(chars: &[char], at: usize) -> Option<char> {
    // The `b` of a byte string belongs to the literal.
    match at.checked_sub(1).map(|before| chars[before]) {
        Some('b') => at.checked_sub(2).map(|before| chars[before]),
        before => before,
    }
}

fn line_end(chars: &[char], at: usize) -> usize {
    chars[at..].iter().position(|char| *char == '\n').map_or(chars.len(), |length| at + length)
}

fn block_comment_end(chars: &[char], mut at: usize) -> usize {
    let mut depth = 0;
    while at < chars.len() {
        match (chars[at], chars.get(at + 1)) {
            ('/', Some('*')) => (depth, at) = (depth + 1, at + 2),
            ('*', Some('/')) => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            break;
        }
    }
    at.min(chars.len())
}

fn string_end(chars: &[char], at: usize) -> usize {
    let mut end = at + 1;
    while end < chars.len() && chars[end] != '"' {
        end += if chars[end] == '\\' { 2 } else { 1 };
    }
    (end + 1).min(chars.len())
}

/// `None` where no raw string starts.
fn raw_string_end(chars: &[char], at: usize) -> Option<usize> {
    let hashes = chars[at + 1..].iter().take_while(|char| **char == '#').count();
    let open = at + 1 + hashes;
    if chars.get(open) != Some(&'"') {
        return None;
    }
    let closes = |end: &usize| {
        chars[*end] == '"'
            && chars.len() > end + hashes
            && chars[end + 1..=end + hashes].iter().all(|char| *char == '#')
    };
    Some((open + 1..chars.len()).find(closes).map_or(chars.len(), |end| end + hashes + 1))
}

/// `None` where a lifetime starts, not a character.
fn char_end(chars: &[char], at: usize) -> Option<usize> {
    if chars.get(at + 1) == Some(&'\\') {
        let close = chars.get(at + 3..)?.iter().position(|char| *char == '\'')?;
        return Some(at + 3 + close + 1);
    }
    (chars.get(at + 2) == Some(&'\'')).then_some(at + 3)
}

#[test]
fn comments_and_literals_are_no_code() {
    let check = |source: &str, expected: &[&str]| {
        assert_eq!(words(&code_only(source)).collect::<Vec<_>>(), expected, "{source}");
    };
    check("a // b\nc", &["a", "c"]);
    check("/// [`crate::x`]\nfn a() {}", &["fn", "a"]);
    check("a /* b /* c */ d */ e", &["a", "e"]);
    check(r#"f("b \" c", d)"#, &["f", "d"]);
    check(r##"f(r#"b " c"#, d)"##, &["f", "d"]);
    check(r#"f(br"b", b"c", d)"#, &["f", "b", "b", "d"]);
    check(r"f('b', '\'', '\u{41}', d)", &["f", "d"]);
    check("fn f<'a>(x: &'a str) {}", &["fn", "f", "a", "x", "a", "str"]);
    check("// it's\nlet a = \"// b\"; c", &["let", "a", "c"]);
}

#[test]
fn tests_are_no_product() {
    let check = |path: &str, text: &str, expected: &str| {
        assert_eq!(product_only(&TextFile { path: path.to_owned(), text: text.to_owned() }), expected, "{path}");
    };
    check("src/a.rs", "a\n#[cfg(test)]\nmod tests {\n b\n}\n", "a\n");
    check("src/a.rs", "a\n#[cfg(test)]\npub fn b() {}\n", "a\n#[cfg(test)]\npub fn b() {}\n");
    check("src/a/tests.rs", "b", "");
}
