//! Which pages may read the API's answers: the allowed origins, and no others.

use axum::http::{HeaderName, HeaderValue, Method, header};
use tower_http::cors::{AllowOrigin, CorsLayer};

pub(crate) fn layer(allowed: &[url::Origin]) -> CorsLayer {
    let origins =
        allowed.iter().filter_map(|origin| HeaderValue::from_str(&origin.ascii_serialization()).ok());
    CorsLayer::new()
        .allow_origin(AllowOrigin::list(origins))
        .allow_methods([Method::GET, Method::POST, Method::PUT, Method::DELETE])
        .allow_headers([header::AUTHORIZATION, header::CONTENT_TYPE])
        .expose_headers([HeaderName::from_static("retry-after")])
        .max_age(std::time::Duration::from_secs(600))
}
