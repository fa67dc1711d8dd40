//! The API as a page: what the document that describes it says, as Markdown.

use std::fmt::Write;

use serde_json::{Map, Value};

/// Methods, in the order in which they are told.
const METHODS: [&str; 4] = ["get", "post", "patch", "delete"];
const SCHEMA: &str = "#/components/schemas/";

/// The page.
pub(super) fn markdown(document: &[u8]) -> String {
    // It was made here.
    let document: Value = serde_json::from_slice(document).unwrap_or_default();
    let mut page = String::from(
        "# API\n\nEvery path and every type, as this server describes itself. For programs: \
         [openapi.json](../openapi.json); the protocol in one readable text: [protocol](protocol.md).\n\n## Paths\n",
    );
    for (path, item) in each(&document["paths"]) {
        for method in METHODS {
            if let Some(operation) = item.get(method) {
                // Writing to a string cannot fail.
                let _ = write!(page, "\n### `{} {path}`\n\n", method.to_uppercase());
                tell(&mut page, operation);
            }
        }
    }
    page.push_str("\n## Answers that paths share\n\nOf these, each path gives those that fit it: where a token is needed, a body read.\n\n");
    let shared = each(&document["components"]["responses"]);
    answers(&mut page, shared.map(|(name, response)| (name.trim_start_matches("Error"), response)));
    page.push_str("\n## Types\n");
    for (name, schema) in each(&document["components"]["schemas"]) {
        let _ = write!(page, "\n### {name}\n\n{}\n\n", text(&schema["description"]));
        fields(&mut page, schema);
    }
    page
}

fn tell(page: &mut String, operation: &Value) {
    let _ = write!(page, "{}. {}\n\n", text(&operation["summary"]), text(&operation["description"]));
    let scopes: Vec<&str> = list(&operation["security"])
        .flat_map(|needed| each(needed).flat_map(|(_, scopes)| list(scopes)))
        .filter_map(Value::as_str)
        .collect();
    if scopes.is_empty() {
        page.push_str("Needs no token.\n\n");
    } else {
        let _ = write!(page, "Needs the scope `{}`.\n\n", scopes.join("`, `"));
    }
    if list(&operation["parameters"]).next().is_some() {
        page.push_str("| parameter | in | type | |\n| --- | --- | --- | --- |\n");
        for parameter in list(&operation["parameters"]) {
            let (name, place) = (text(&parameter["name"]), text(&parameter["in"]));
            let _ = writeln!(
                page,
                "| `{name}` | {place} | {} | {} |",
                cell(&kind(&parameter["schema"])),
                cell(&text(&parameter["description"]))
            );
        }
        page.push('\n');
    }
    for (media, content) in each(&operation["requestBody"]["content"]) {
        let _ = write!(page, "Takes `{media}`: {}.\n\n", kind(&content["schema"]));
    }
    let own = each(&operation["responses"]).filter(|(_, response)| response.get("$ref").is_none());
    answers(page, own.map(|(status, response)| (&**status, response)));
}

fn answers<'d>(page: &mut String, answers: impl Iterator<Item = (&'d str, &'d Value)>) {
    page.push_str("| answer | | |\n| --- | --- | --- |\n");
    for (status, response) in answers {
        let (says, kinds) = (text(&response["description"]), each(&response["content"]));
        let kinds: Vec<String> =
            kinds.map(|(media, content)| format!("`{media}`: {}", kind(&content["schema"]))).collect();
        let _ = writeln!(page, "| {status} | {} | {} |", cell(&says), cell(&kinds.join("; ")));
    }
}

/// The fields of a type, or what else it is.
fn fields(page: &mut String, schema: &Value) {
    if !schema["properties"].is_object() {
        let _ = writeln!(page, "{}", kind(schema));
        return;
    }
    let required: Vec<&str> = list(&schema["required"]).filter_map(Value::as_str).collect();
    page.push_str("| field | type | |\n| --- | --- | --- |\n");
    for (name, field) in each(&schema["properties"]) {
        let always = if required.contains(&name.as_str()) { ", always" } else { "" };
        let _ = writeln!(
            page,
            "| `{name}` | {}{always} | {} |",
            cell(&kind(field)),
            cell(&text(&field["description"]))
        );
    }
}

/// What a value may be, in few words, with links to the types it names.
fn kind(schema: &Value) -> String {
    if let Some(name) = schema["$ref"].as_str().and_then(|name| name.strip_prefix(SCHEMA)) {
        return format!("[{name}](#{})", name.to_lowercase());
    }
    for of in ["oneOf", "anyOf", "allOf"] {
        if schema[of].is_array() {
            let kinds: Vec<String> = list(&schema[of]).map(kind).filter(|kind| kind != "null").collect();
            return kinds.join(if of == "allOf" { " and " } else { " or " });
        }
    }
    if schema["enum"].is_array() {
        let words: Vec<String> = list(&schema["enum"]).map(|word| format!("`{}`", text(word))).collect();
        return words.join(", ");
    }
    let types: Vec<&str> = match &schema["type"] {
        Value::Array(types) => {
            types.iter().filter_map(Value::as_str).filter(|name| *name != "null").collect()
        }
        one => one.as_str().into_iter().collect(),
    };
    match (types.join(" or "), schema["format"].as_str()) {
        (kind, _) if kind == "array" => format!("list of {}", self::kind(&schema["items"])),
        (kind, Some(format)) if kind == "string" => format.to_owned(),
        (kind, _) if kind.is_empty() => "any JSON".to_owned(),
        (kind, _) => kind,
    }
}

fn each(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flat_map(Map::iter)
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// What can stand in a cell of a table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}
