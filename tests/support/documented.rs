//! Every answer that a test receives is held against the server's own description of itself. Where the environment names a
//! directory, what was seen is noted there, and `cargo xtask test` holds it against what is described: an answer that no
//! test has seen fails the run.

use std::collections::{BTreeSet, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Write;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use http::{HeaderMap, Method, StatusCode};
use jsonschema::Validator;
use serde_json::{Value, json};

/// The directory: `documented.HASH` and `seen.PID`, a line for each answer.
const DIRECTORY: &str = "LONGRUN_ANSWERS";

/// What one server says of itself.
pub struct Document {
    whole: Value,
    validators: Mutex<HashMap<String, Option<Arc<Validator>>>>,
    seen: Mutex<BTreeSet<String>>,
}

impl Document {
    pub fn new(whole: Value) -> Self {
        let document = Self { whole, validators: Mutex::default(), seen: Mutex::default() };
        if let Some(directory) = directory() {
            // A server says what its options make of it: each way to describe itself has a file.
            let lines = document.lines();
            let mut hash = DefaultHasher::new();
            lines.hash(&mut hash);
            let file = directory.join(format!("documented.{:x}", hash.finish()));
            let lines = lines.into_iter().map(|line| line + "\n").collect::<String>();
            std::fs::write(file, lines).expect("the directory can be written");
        }
        document
    }

    /// Every answer: a line of method, path and status, or of `any` and the status where all routes share it.
    fn lines(&self) -> BTreeSet<String> {
        let mut lines = BTreeSet::new();
        for (path, item) in self.whole["paths"].as_object().expect("there are paths") {
            for (method, operation) in item.as_object().expect("a path has methods") {
                for (status, response) in operation["responses"].as_object().expect("it has answers") {
                    if response.get("$ref").is_none() {
                        lines.insert(format!("{} {path} {status}", method.to_uppercase()));
                    }
                }
            }
        }
        let shared = self.whole["components"]["responses"].as_object().expect("some are shared");
        lines.extend(shared.keys().map(|name| format!("any {}", name.trim_start_matches("Error"))));
        lines
    }

    /// The path as it is described.
    fn template(&self, path: &str) -> Option<&str> {
        let fits = |template: &str| {
            let (ours, theirs): (Vec<_>, Vec<_>) = (template.split('/').collect(), path.split('/').collect());
            ours.len() == theirs.len()
                && ours.iter().zip(&theirs).all(|(ours, theirs)| ours.starts_with('{') || ours == theirs)
        };
        let paths = self.whole["paths"].as_object().expect("there are paths");
        // `/$count` before `/{id}`.
        let exact = paths.get_key_value(path).map(|(template, _)| template);
        exact.or_else(|| paths.keys().find(|template| fits(template))).map(String::as_str)
    }

    /// Holds an answer against the description, without its body where the test reads that by itself.
    pub fn check(
        &self,
        method: &Method,
        path: &str,
        status: StatusCode,
        headers: &HeaderMap,
        body: Option<&[u8]>,
    ) {
        let path = path.split('?').next().unwrap_or_default();
        let about = format!("{method} {path} {}", status.as_u16());
        // A HEAD is a GET that shows no body, and what a browser asks before it asks is not the API's.
        let (method, body) = match *method {
            Method::HEAD => (&Method::GET, None),
            Method::OPTIONS => return,
            _ => (method, body),
        };
        let operation = self.template(path).and_then(|template| {
            let operation = self.whole["paths"][template].get(method.as_str().to_lowercase())?;
            Some((template, operation))
        });
        let code = status.as_u16().to_string();
        let (line, response) = match operation.map(|(path, operation)| (path, &operation["responses"][&code]))
        {
            Some((template, own)) if own.is_object() && own.get("$ref").is_none() => {
                (format!("{method} {template} {code}"), own)
            }
            // What nobody described is no such path, or no such method.
            None if status == StatusCode::NOT_FOUND => return,
            _ => (format!("any {code}"), &self.whole["components"]["responses"][format!("Error{code}")]),
        };
        assert!(
            response.is_object(),
            "{about} is not described: {}",
            String::from_utf8_lossy(body.unwrap_or_default())
        );
        self.note(&line);
        let is_json = headers.get("content-type").is_some_and(|kind| kind == "application/json");
        if let Some(body) = body.filter(|_| is_json) {
            self.validate(&line, response, body);
        }
    }

    fn validate(&self, line: &str, response: &Value, body: &[u8]) {
        let mut validators = self.validators.lock().unwrap_or_else(PoisonError::into_inner);
        let validator = validators.entry(line.to_owned()).or_insert_with(|| {
            let schema = response["content"]["application/json"].get("schema")?;
            let whole = json!({ "allOf": [schema], "components": self.whole["components"] });
            Some(Arc::new(jsonschema::validator_for(&whole).expect("the description is a schema")))
        });
        let validator = validator.clone().unwrap_or_else(|| panic!("{line} is described without JSON"));
        drop(validators);
        let body: Value = serde_json::from_slice(body).unwrap_or_else(|error| panic!("{line}: {error}"));
        if let Err(error) = validator.validate(&body) {
            panic!("{line}: {error} at {}: {body}", error.instance_path());
        }
    }

    /// For those who speak to the server in another way: such an answer was seen.
    pub fn note(&self, line: &str) {
        let fresh = self.seen.lock().unwrap_or_else(PoisonError::into_inner).insert(line.to_owned());
        if let Some(directory) = directory().filter(|_| fresh) {
            let path = directory.join(format!("seen.{}", std::process::id()));
            let file = std::fs::File::options().create(true).append(true).open(path);
            writeln!(file.expect("the directory can be written"), "{line}").expect("and so can the file");
        }
    }
}

fn directory() -> Option<PathBuf> {
    std::env::var_os(DIRECTORY).map(PathBuf::from)
}
