//! Who may ask for what.
//!
//! - `/livez`, `/readyz` and `/metrics` are open: whoever reaches the port may watch. Everything else asks for the token
//!   when one is set.
//! - A POST never acts on a cross-site request: a browser on a page of somebody else sends `Sec-Fetch-Site` or an
//!   `Origin` that is not ours.
//! - Where the server listens on loopback only, a request must name a loopback host: a foreign name that resolves to
//!   127.0.0.1 (DNS rebinding) would be same-site to a browser.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::problem::Problem;

/// What the guard knows.
#[derive(Clone)]
pub struct Guard(Arc<Rules>);

struct Rules {
    token: Option<String>,
    loopback: bool,
}

/// Paths that everybody may read.
const OPEN: [&str; 3] = ["/livez", "/readyz", "/metrics"];

impl Guard {
    /// A guard of a server that listens here.
    pub fn new(token: Option<String>, listen: SocketAddr) -> Self {
        Self(Arc::new(Rules { token, loopback: listen.ip().is_loopback() }))
    }

    fn check(&self, request: &Request) -> Result<(), Problem> {
        let headers = request.headers();
        let host = host(request);
        if self.0.loopback && host.as_deref().is_some_and(|host| !is_loopback(host)) {
            let detail = "this server listens on the loopback interface and answers to loopback names only";
            return Err(Problem::new(StatusCode::MISDIRECTED_REQUEST, detail));
        }
        let reads = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
        if !reads && is_cross_site(headers, host.as_deref()) {
            let detail = "a page of another site sent this request: it is not acted upon";
            return Err(Problem::new(StatusCode::FORBIDDEN, detail));
        }
        let open = reads && OPEN.contains(&request.uri().path());
        match &self.0.token {
            Some(token) if !open && !shows(headers, token) => {
                let detail = "this request must carry `authorization: Bearer TOKEN` with the token of `admin.token`";
                Err(Problem::new(StatusCode::UNAUTHORIZED, detail))
            }
            _ => Ok(()),
        }
    }
}

/// Lets a request through or answers it with a problem document.
pub async fn guard(State(guard): State<Guard>, request: Request, next: Next) -> Response {
    match guard.check(&request) {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.at(request.uri()).into_response(),
    }
}

/// The host that a request names, with its port.
fn host(request: &Request) -> Option<String> {
    let named = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
    named.or_else(|| request.uri().authority().map(|authority| authority.as_str())).map(str::to_owned)
}

/// A host without its port.
fn name(host: &str) -> &str {
    match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or(rest),
        None => host.rsplit_once(':').map_or(host, |(name, _)| name),
    }
}

fn is_loopback(host: &str) -> bool {
    let name = name(host);
    name.eq_ignore_ascii_case("localhost")
        || name.to_ascii_lowercase().ends_with(".localhost")
        || name.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

fn is_cross_site(headers: &HeaderMap, host: Option<&str>) -> bool {
    if let Some(site) = headers.get("sec-fetch-site") {
        return !matches!(site.as_bytes(), b"same-origin" | b"none");
    }
    let Some(origin) = headers.get(header::ORIGIN) else { return false };
    let authority = origin.to_str().ok().and_then(|origin| origin.split_once("://")).map(|(_, authority)| authority);
    authority.is_none() || authority != host
}

/// Whether the request carries the token. Takes as long for a wrong one as for the right one.
fn shows(headers: &HeaderMap, token: &str) -> bool {
    let shown = headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map_or("", |(_, shown)| shown.trim());
    // Hashes of equal length are compared: neither length nor place of a difference shows in the time.
    blake3::hash(shown.as_bytes()) == blake3::hash(token.as_bytes())
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;

    fn ask(guard: &Guard, method: &str, path: &str, headers: &[(&str, &str)]) -> Option<u16> {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        guard.check(&request.body(Body::empty()).unwrap()).err().map(|problem| problem.status)
    }

    #[test]
    fn without_a_token_everybody_on_loopback_may_ask_but_no_page_of_another_site() {
        let guard = Guard::new(None, "127.0.0.1:9644".parse().unwrap());
        let host = ("host", "localhost:9644");
        assert_eq!(ask(&guard, "POST", "/-/reload", &[host]), None);
        assert_eq!(ask(&guard, "POST", "/-/reload", &[host, ("origin", "http://localhost:9644")]), None);
        for foreign in [
            ("origin", "http://evil.example"),
            ("origin", "null"),
            ("origin", "http://localhost:1234"),
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-site", "same-site"),
        ] {
            assert_eq!(ask(&guard, "POST", "/-/reload", &[host, foreign]), Some(403), "{foreign:?}");
        }
        assert_eq!(ask(&guard, "GET", "/", &[("host", "evil.example:9644")]), Some(421));
        assert_eq!(ask(&guard, "GET", "/", &[("host", "[::1]:9644")]), None);
        assert_eq!(ask(&guard, "GET", "/", &[("host", "127.0.0.1")]), None);
    }

    #[test]
    fn with_a_token_only_health_and_metrics_are_open() {
        let guard = Guard::new(Some("a long token".to_owned()), "0.0.0.0:9644".parse().unwrap());
        for path in OPEN {
            assert_eq!(ask(&guard, "GET", path, &[("host", "anything")]), None);
        }
        assert_eq!(ask(&guard, "GET", "/api/v1/pipelines", &[]), Some(401));
        assert_eq!(ask(&guard, "POST", "/metrics", &[]), Some(401));
        for (shown, expected) in [
            ("Bearer a long token", None),
            ("bearer a long token", None),
            ("Bearer a long", Some(401)),
            ("a long token", Some(401)),
        ] {
            assert_eq!(ask(&guard, "GET", "/", &[("authorization", shown)]), expected, "{shown}");
        }
    }
}
