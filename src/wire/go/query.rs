//! How Go reads a query: its `url.ParseQuery`.

use percent_encoding::percent_decode_str;

/// The parameters in their order.
#[derive(Debug)]
pub struct Query(Vec<(String, String)>);

impl Query {
    /// `None` for what Go refuses: a `%` without two hexadecimal digits behind it, and any `;`.
    pub fn parse(text: &str) -> Option<Self> {
        if text.contains(';') {
            return None;
        }
        let pairs = text.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Some((unescape(name)?, unescape(value)?))
        });
        pairs.collect::<Option<_>>().map(Self)
    }

    /// The first value of that name. Others are not looked at, nor are other names.
    pub fn first(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// Bytes that are no UTF-8 are no error to Go; they are no part of anything that is read here.
fn unescape(text: &str) -> Option<String> {
    let is_hex = |piece: &str| piece.len() >= 2 && piece.bytes().take(2).all(|byte| byte.is_ascii_hexdigit());
    if !text.split('%').skip(1).all(is_hex) {
        return None;
    }
    Some(percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_read_as_go_reads_it() {
        let check = |text: &str, expected: Option<Option<&str>>| {
            let query = Query::parse(text);
            assert_eq!(query.as_ref().map(|query| query.first("client")), expected, "{text}");
        };
        check("", Some(None));
        check("client=7", Some(Some("7")));
        check("&&other&client=7&client=8", Some(Some("7")));
        check("client", Some(Some("")));
        check("client=a=b", Some(Some("a=b")));
        check("%63lient=%37+8", Some(Some("7 8")));
        check("Client=7", Some(None));
        check("client=%ff", Some(Some("\u{fffd}")));
        for bad in ["client=%", "client=%7", "client=%zz", "client=7&x=%e", "client=%%37", "client=7;x=1", ";"] {
            check(bad, None);
        }
    }
}
