//! How go-playground's `validator` says what is wrong with a struct: every field that fails, each with the first of its tags that does not hold.

use super::Reason;

/// Collects what is wrong with the fields of one struct, in their order.
#[derive(Debug)]
pub struct Validation {
    namespace: &'static str,
    failures: Vec<String>,
}

impl Validation {
    /// Of a struct by its full name, that of what it is embedded in before it: `Request.Model`.
    pub fn of(namespace: &'static str) -> Self {
        Self { namespace, failures: Vec::new() }
    }

    /// A field and one of its tags, which holds or does not.
    pub fn check(&mut self, field: &str, tag: &str, holds: bool) {
        if !holds {
            let key = format!("{}.{field}", self.namespace);
            let failure = format!("Key: '{key}' Error:Field validation for '{field}' failed on the '{tag}' tag");
            self.failures.push(failure);
        }
    }

    /// A text with the tags `required` and `max`, the latter in characters.
    pub fn check_text(&mut self, field: &str, text: &str, characters_max: usize) {
        self.check(field, "required", !text.is_empty());
        self.check(field, "max", text.chars().count() <= characters_max);
    }

    /// All that is wrong, one line each.
    pub fn finish(self) -> Result<(), Reason> {
        if self.failures.is_empty() { Ok(()) } else { Err(Reason::other(&self.failures.join("\n"))) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &str, is_paid: bool, expected: Result<(), &str>) {
        let mut validation = Validation::of("Request.Order");
        validation.check("Paid", "required", is_paid);
        validation.check_text("Name", name, 3);
        let said = validation.finish().map_err(String::from);
        assert_eq!(said, expected.map_err(str::to_owned), "{name:?} {is_paid}");
    }

    #[test]
    fn every_field_that_fails_is_named() {
        const PAID: &str = "Key: 'Request.Order.Paid' Error:Field validation for 'Paid' failed on the 'required' tag";
        const NAME: &str = "Key: 'Request.Order.Name' Error:Field validation for 'Name' failed on the 'required' tag";
        check("три", true, Ok(()));
        check("", true, Err(NAME));
        check("", false, Err(&format!("{PAID}\n{NAME}")));
        check("four", true, Err("Key: 'Request.Order.Name' Error:Field validation for 'Name' failed on the 'max' tag"));
    }
}
