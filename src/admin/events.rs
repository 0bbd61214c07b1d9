//! `GET /api/v1/events`: what happens, as server-sent events.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use utoipa::IntoParams;

use super::problem::Problem;
use super::routes::Shared;
use crate::telemetry::Heard;

/// Most listeners at a time.
pub const LISTENERS: usize = 32;

/// Time between two signs of life of a silent stream.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// Where a stream of events begins.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct From {
    /// How many events of the past to begin with (256 are kept).
    #[serde(default)]
    recent: usize,
}

/// Events as they happen. `Last-Event-ID` goes on after that event; an event `missed` says how many were lost
#[utoipa::path(get, path = "/api/v1/events", tag = "state", params(From),
    responses((status = 200, description = "A stream of events", content_type = "text/event-stream", body = crate::telemetry::Event),
        (status = 503, description = "Too many listeners", body = Problem)))]
pub async fn events(State(shared): State<Shared>, Query(from): Query<From>, headers: HeaderMap, uri: Uri) -> Response {
    let Ok(slot) = std::sync::Arc::clone(&shared.listeners).try_acquire_owned() else {
        let detail = format!("{LISTENERS} listeners are there already: close one, or try again later");
        return Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail).at(&uri).into_response();
    };
    let events = shared.board.events();
    let subscription = match headers.get("last-event-id").and_then(|id| id.to_str().ok()) {
        Some(id) => events.resume(id),
        None => events.subscribe(from.recent),
    };
    let stop = shared.stop.clone();
    let stream = futures::stream::unfold((subscription, slot, stop), |(mut subscription, slot, stop)| async move {
        let heard = tokio::select! {
            heard = subscription.next() => heard?,
            () = stop.cancelled() => return None,
        };
        let event = match heard {
            Heard::Event(event) => Event::default()
                .id(event.id.to_string())
                .event(event.kind.name())
                .json_data(&*event)
                .unwrap_or_else(|error| Event::default().comment(error.to_string())),
            Heard::Missed(count) => Event::default().event("missed").data(format!("{{\"missed\":{count}}}")),
        };
        Some((Ok::<_, Infallible>(event), (subscription, slot, stop)))
    });
    Sse::new(stream).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)).into_response()
}
