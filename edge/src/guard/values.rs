//! Limits on the values of variables: their number, nesting and size.

use serde_json::{Map, Value};

use super::limits::{Excess, Limit, Limits};

/// Checks the variables of a request whose document has `document_bytes` bytes.
pub(super) fn check(
    variables: &Map<String, Value>,
    document_bytes: usize,
    limits: &Limits,
) -> Result<(), Excess> {
    limits.check(Limit::Variables, number(variables.len()), None)?;
    let mut counted = ValueCount { bytes: number(document_bytes), ..ValueCount::default() };
    counted.object(variables, 0);
    limits.check(Limit::Bytes, counted.bytes, None)?;
    limits.check(Limit::Values, counted.values, None)?;
    limits.check(Limit::ValuesNesting, counted.nesting, None)
}

#[derive(Default)]
struct ValueCount {
    bytes: u64,
    values: u64,
    nesting: u64,
}

impl ValueCount {
    /// Recursion is as deep as the values are nested, which the JSON parser bounds (serde_json: 128).
    fn value(&mut self, value: &Value, depth: u64) {
        self.values = self.values.saturating_add(1);
        match value {
            Value::Null | Value::Bool(_) | Value::Number(_) => self.bytes = self.bytes.saturating_add(1),
            Value::String(text) => self.bytes = self.bytes.saturating_add(number(text.len())),
            Value::Array(values) => {
                let depth = self.deeper(depth);
                values.iter().for_each(|value| self.value(value, depth));
            }
            Value::Object(fields) => {
                let depth = self.deeper(depth);
                self.object(fields, depth);
            }
        }
    }

    fn object(&mut self, fields: &Map<String, Value>, depth: u64) {
        for (name, value) in fields {
            self.bytes = self.bytes.saturating_add(number(name.len()));
            self.value(value, depth);
        }
    }

    fn deeper(&mut self, depth: u64) -> u64 {
        let depth = depth.saturating_add(1);
        self.nesting = self.nesting.max(depth);
        depth
    }
}

fn number(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn number_nesting_and_size_of_values_are_bounded() {
        let limits = Limits {
            variables_max: 2,
            values_max: 5,
            values_nesting_max: 2,
            bytes_max: 20,
            ..Limits::default()
        };
        for (variables, expected) in [
            (json!({}), None),
            (json!({ "a": [1, 2], "b": { "c": 3 } }), None),
            (json!({ "a": 1, "b": 2, "c": 3 }), Some((Limit::Variables, 3))),
            (json!({ "a": [1, 2, 3, 4, 5] }), Some((Limit::Values, 6))),
            (json!({ "a": [[{}]] }), Some((Limit::ValuesNesting, 3))),
            (json!({ "a": "0123456789" }), Some((Limit::Bytes, 21))),
            (json!({ "0123456789a": 1 }), Some((Limit::Bytes, 22))),
        ] {
            let excess = check(variables.as_object().unwrap(), 10, &limits).err();
            assert_eq!(excess.map(|excess| (excess.limit, excess.count)), expected, "{variables}");
        }
    }
}
