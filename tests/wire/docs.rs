//! `/docs`: pages that a browser shows without asking anybody else for anything.

use http::StatusCode;

use crate::support::cli::token;
use crate::support::{Answer, Server};

fn is_page(answer: &Answer) {
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.header("content-type"), Some("text/html; charset=utf-8"));
    let policy = answer.header("content-security-policy").expect("a policy");
    assert!(policy.starts_with("default-src 'none'; style-src 'self';"), "{policy}");
    assert!(!policy.contains("unsafe") && policy.contains("frame-ancestors 'none'"), "{policy}");
    assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
}

#[tokio::test]
async fn the_pages_of_the_binary_are_read_without_a_token() {
    let server = Server::start(&["--workers", "0"]);
    token(&server, &["--scope", "Operation.Read"]);
    let client = server.client();
    let home = client.get("/docs").await;
    is_page(&home);
    let text = home.text();
    let pages = text.split("<li><a href=\"docs/").skip(1).map(|rest| rest.split('"').next().unwrap());
    let pages: Vec<&str> = pages.take_while(|name| !name.contains('/')).collect();
    assert!(
        ["protocol", "api", "operating", "changelog"].iter().all(|name| pages.contains(name)),
        "{pages:?}"
    );
    for page in pages {
        let answer = client.get(&format!("/docs/{page}")).await;
        is_page(&answer);
        assert!(answer.text().contains("<h1"), "{page}");
    }
    let style = client.get("/docs/style.css").await;
    assert_eq!(
        (style.status, style.header("content-type")),
        (StatusCode::OK, Some("text/css; charset=utf-8"))
    );
    for name in ["nonsense", "..%2fCargo.toml", "protocol.md", "%00"] {
        let none = client.get(&format!("/docs/{name}")).await;
        assert_eq!((none.status, none.code()), (StatusCode::NOT_FOUND, "itemNotFound".to_owned()), "{name}");
    }
}

#[tokio::test]
async fn every_path_and_type_of_the_description_is_on_the_page_of_the_api() {
    let server = Server::start(&["--workers", "0"]);
    let client = server.client();
    let (document, page) = (client.get("/openapi.json").await.value(), client.get("/docs/api").await.text());
    let mut found = 0;
    for (path, item) in document["paths"].as_object().unwrap() {
        for method in item.as_object().unwrap().keys() {
            assert!(page.contains(&format!("<code>{} {path}</code></h3>", method.to_uppercase())), "{path}");
            found += 1;
        }
    }
    let types = document["components"]["schemas"].as_object().unwrap();
    for name in types.keys() {
        assert!(page.contains(&format!("<h3 id=\"{}\">{name}</h3>", name.to_lowercase())), "{name}");
    }
    assert!(found > 20 && types.len() > 20);
    let links = page.split("href=\"#").skip(1).map(|rest| rest.split('"').next().unwrap());
    for link in links {
        assert!(page.contains(&format!(" id=\"{link}\"")), "{link} leads nowhere");
    }
}
