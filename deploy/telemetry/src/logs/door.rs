//! `/log` on a server's admin port: what is logged, and other levels from now on. That port is for operators alone.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get};
use serde::Deserialize;

use super::{Levels, LogError, back_to_settings, set, show};

/// What `PUT /log` takes.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    /// As the setting `log`.
    filter: String,
}

/// `GET` shows the levels, `PUT` sets others, `DELETE` goes back to those of the settings.
pub fn route<S: Clone + Send + Sync + 'static>() -> MethodRouter<S> {
    get(async || answer(show()))
        .put(async |Json(wanted): Json<Wanted>| answer(set(&wanted.filter)))
        .delete(async || answer(back_to_settings()))
}

fn answer(levels: Result<Levels, LogError>) -> Response {
    match levels {
        Ok(levels) => Json(levels).into_response(),
        Err(error @ (LogError::Filter { .. } | LogError::TooLong { .. })) => {
            (StatusCode::BAD_REQUEST, format!("{error}\n")).into_response()
        }
        Err(error) => (StatusCode::SERVICE_UNAVAILABLE, format!("{error}\n")).into_response(),
    }
}
