//! Records against `mail-common/schema/records.schema.json`, which is generated from the record
//! types and checked in.

use std::collections::HashMap;
use std::path::Path;

use jsonschema::Validator;
use serde_json::{Value, json};

use crate::run::{Outcome, Tool};

/// The schema, taken apart by record type, so that a complaint names the field and not just "none
/// of nine".
#[derive(Debug)]
pub struct Schema(HashMap<String, Validator>);

impl Schema {
    /// The checked-in schema.
    ///
    /// # Panics
    /// When it is missing or no schema of records.
    #[must_use]
    pub fn open() -> Self {
        let path =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../mail-common/schema/records.schema.json");
        let text = std::fs::read_to_string(&path)
            .unwrap_or_else(|e| panic!("read {}: {e}", path.display()));
        let schema =
            serde_json::from_str(&text).unwrap_or_else(|e| panic!("parse {}: {e}", path.display()));
        Self::new(&schema)
    }

    /// A schema whose root is a choice of record types, each `{"type": <constant>, "data": ...}`.
    ///
    /// # Panics
    /// When it is not such a schema.
    #[must_use]
    pub fn new(schema: &Value) -> Self {
        let choices = schema
            .get("oneOf")
            .or_else(|| schema.get("anyOf"))
            .and_then(Value::as_array);
        let choices = choices.expect("the schema is a choice of record types");
        Self(
            choices
                .iter()
                .map(|choice| validator(schema, choice))
                .collect(),
        )
    }

    /// What is wrong with a record; nothing for a type that the schema does not know, since tools
    /// pass those on.
    #[must_use]
    pub fn complaints(&self, record: &Value) -> Vec<String> {
        let Some(kind) = record["type"].as_str() else {
            return vec![format!("no type: {record}")];
        };
        let Some(validator) = self.0.get(kind) else {
            return Vec::new();
        };
        validator
            .iter_errors(record)
            .map(|error| format!("{kind}{}: {error}", error.instance_path()))
            .collect()
    }

    /// Asserts that every record is valid.
    ///
    /// # Panics
    /// With the complaints when one is not.
    #[track_caller]
    pub fn assert_valid(&self, records: &[Value]) {
        let complaints: Vec<String> = records
            .iter()
            .flat_map(|record| self.complaints(record))
            .collect();
        assert!(
            complaints.is_empty(),
            "records do not match the schema:\n{}",
            complaints.join("\n")
        );
    }
}

/// Runs a tool; its records match the schema.
#[track_caller]
pub fn checked(tool: Tool) -> Outcome {
    let outcome = tool.run();
    Schema::open().assert_valid(&outcome.records());
    outcome
}

/// The validator of one choice, with the definitions of the whole.
fn validator(schema: &Value, choice: &Value) -> (String, Validator) {
    let resolved = match choice["$ref"].as_str() {
        Some(pointer) => schema
            .pointer(pointer.trim_start_matches('#'))
            .expect("the reference leads somewhere"),
        None => choice,
    };
    let tag = &resolved["properties"]["type"];
    let kind = tag["const"]
        .as_str()
        .or_else(|| tag["enum"][0].as_str())
        .expect("a record type has a constant tag");
    let mut alone = json!({ "allOf": [choice] });
    for definitions in ["$schema", "$defs", "definitions"] {
        if let Some(value) = schema.get(definitions) {
            alone[definitions] = value.clone();
        }
    }
    let validator =
        jsonschema::validator_for(&alone).unwrap_or_else(|e| panic!("schema of {kind}: {e}"));
    (kind.to_owned(), validator)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Schema {
        Schema::new(&json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "oneOf": [
                {
                    "type": "object",
                    "properties": { "type": { "const": "end" }, "data": { "$ref": "#/$defs/End" } },
                    "required": ["type", "data"]
                }
            ],
            "$defs": {
                "End": {
                    "type": "object",
                    "properties": { "exit": { "type": "integer" } },
                    "required": ["exit"]
                }
            }
        }))
    }

    #[test]
    fn complaints_name_type_and_field() {
        let check =
            |record: Value, expected: &[&str]| assert_eq!(sample().complaints(&record), expected);
        check(json!({"type": "end", "data": {"exit": 0}}), &[]);
        check(
            json!({"type": "end", "data": {"exit": "0"}}),
            &["end/data/exit: \"0\" is not of type \"integer\""],
        );
        check(
            json!({"type": "end", "data": {}}),
            &["end/data: \"exit\" is a required property"],
        );
        check(json!({"type": "future", "data": 7}), &[]);
        check(json!({"data": 7}), &["no type: {\"data\":7}"]);
    }
}
