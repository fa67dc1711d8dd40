use super::*;

const DOCUMENT: &str = r##"{"paths": {"/a/{id}": {"get": {"summary": "Get one", "description": "As it is.",
    "security": [{"bearer": ["Operation.Read"]}],
    "parameters": [{"name": "id", "in": "path", "schema": {"type": "string", "format": "uuid"}, "description": "Which | one"}],
    "responses": {"200": {"description": "It", "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Thing"}}}},
    "404": {"$ref": "#/components/responses/Error404"}}}}},
    "components": {"responses": {"Error404": {"description": "None"}},
    "schemas": {"Thing": {"description": "A thing.", "required": ["id"],
    "properties": {"id": {"type": "string", "format": "uuid"}, "of": {"type": ["array", "null"], "items": {"type": "integer"}}}}}}}"##;

fn page(name: &str) -> String {
    let page = Pages::new(DOCUMENT.as_bytes()).get(name);
    String::from_utf8(page.unwrap_or_else(|| panic!("no page {name}")).to_vec()).unwrap()
}

/// What the pages link to, with the page that does.
fn links() -> Vec<(String, String)> {
    let pages = Pages::new(DOCUMENT.as_bytes());
    let of = |(name, page): (&String, &Bytes)| {
        let text = String::from_utf8(page.to_vec()).unwrap();
        let links = text.split("href=\"").skip(1).map(|rest| rest.split('"').next().unwrap().to_owned());
        links.map(|link| (name.clone(), link)).collect::<Vec<_>>()
    };
    pages.0.iter().flat_map(of).collect()
}

#[test]
fn every_page_of_the_repository_is_there_with_its_heading_as_its_title() {
    for file in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/docs")).unwrap() {
        let path = file.unwrap().path();
        let shown = page(path.file_stem().unwrap().to_str().unwrap());
        let text = std::fs::read_to_string(&path).unwrap();
        let heading = text.lines().next().unwrap().trim_start_matches("# ").replace('`', "");
        assert!(shown.contains(&format!("<title>{} · Longrun", escaped(&heading))), "{}", path.display());
    }
    assert!(page("").contains("<h1"));
    assert!(page(LAST).contains("Keep a Changelog"));
}

#[test]
fn every_link_leads_to_a_page_a_heading_or_a_file_that_is_there() {
    let pages = Pages::new(DOCUMENT.as_bytes());
    let mut found = 0;
    for (page, link) in links() {
        let (path, fragment) = link.split_once('#').unwrap_or((&link, ""));
        if let Some(file) = path.strip_prefix(concat!(env!("CARGO_PKG_REPOSITORY"), "/blob/main/")) {
            let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
            assert!(file.exists(), "{link} in {page}");
            continue;
        }
        if path.contains("://") || path.ends_with("openapi.json") || path.ends_with("style.css") {
            continue;
        }
        let name = match path {
            "" => &*page,
            "docs" | "../docs" => HOME,
            path => path.strip_prefix(prefix(&page)).unwrap(),
        };
        let there = pages.get(name).unwrap_or_else(|| panic!("{link} in {page}"));
        let there = String::from_utf8(there.to_vec()).unwrap();
        // A link to a type of the document that these tests have not.
        let anchored = fragment.is_empty() || there.contains(&format!("id=\"{fragment}\""));
        assert!(anchored, "{link} in {page}: no such heading");
        found += 1;
    }
    assert!(found > 50, "{found}");
}

#[test]
fn the_api_is_shown_with_its_scopes_parameters_answers_and_types() {
    let page = page(API);
    for shown in [
        "<h3 id=\"get-aid\"><code>GET /a/{id}</code></h3>",
        "Needs the scope <code>Operation.Read</code>.",
        "<td>Which | one</td>",
        "<td>404</td><td>None</td>",
        "<code>application/json</code>: <a href=\"#thing\">Thing</a>",
        "<h3 id=\"thing\">Thing</h3>",
        "<td>uuid, always</td>",
        "<td>list of integer</td>",
    ] {
        assert!(page.contains(shown), "{shown} in {page}");
    }
}

#[test]
fn nothing_in_a_page_is_more_than_text() {
    let page = render(
        "# A <b>&\n\n<script>alert(1)</script>\n\n[x](javascript:1) <i onclick=\"x\">",
        "docs/a.md",
        "",
    );
    assert_eq!(page.title, "A <b>&");
    assert!(!page.html.contains("<script") && !page.html.contains("<i "), "{}", page.html);
    assert!(!page.html.contains("\"javascript:"), "{}", page.html);
    for name in Pages::new(DOCUMENT.as_bytes()).0.keys() {
        let page = self::page(name);
        for word in ["<script", "<style", " style=\"", "onload=", "src=\""] {
            assert!(!page.contains(word), "{word} in {name}");
        }
    }
}
