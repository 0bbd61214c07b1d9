//! The routes, and their description.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderValue, StatusCode, Uri, header};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::Value;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use utoipa::OpenApi;

use super::actions::{ActionError, Actions, GenerateRequest, Generated, ReloadSummary, Role};
use super::events::{self, LISTENERS};
use super::problem::Problem;
use super::{guard, page};
use crate::telemetry::{PipelineSnapshot, Readiness, StatusBoard};

/// What every handler sees.
#[derive(Clone)]
pub struct Shared {
    /// The daemon's condition.
    pub board: StatusBoard,
    /// The daemon.
    pub actions: Arc<dyn Actions>,
    /// Slots for listeners to events.
    pub listeners: Arc<Semaphore>,
    /// The server is to end.
    pub stop: CancellationToken,
}

impl Shared {
    /// Handlers' common ground.
    pub fn new(board: StatusBoard, actions: Arc<dyn Actions>, stop: CancellationToken) -> Self {
        Self { board, actions, listeners: Arc::new(Semaphore::new(LISTENERS)), stop }
    }
}

#[derive(OpenApi)]
#[openapi(
    info(
        title = "latentd",
        description = "State and control of a latentd daemon. Errors are RFC 9457 problem documents."
    ),
    paths(
        livez,
        readyz,
        metrics,
        pipelines,
        pipeline,
        pause,
        resume,
        models,
        model,
        promote,
        train,
        rollback,
        generate,
        reload,
        description,
        events::events,
        index
    )
)]
struct Description;

/// The OpenAPI document.
pub fn openapi() -> utoipa::openapi::OpenApi {
    let mut document = Description::openapi();
    document.info.version = env!("CARGO_PKG_VERSION").to_owned();
    document
}

/// All routes behind the guard.
pub fn router(shared: Shared, rules: guard::Guard) -> Router {
    Router::new()
        .route("/", get(index))
        .route("/metrics", get(metrics))
        .route("/livez", get(livez))
        .route("/readyz", get(readyz))
        .route("/api/v1/openapi.json", get(description))
        .route("/api/v1/pipelines", get(pipelines))
        .route("/api/v1/pipelines/{name}", get(pipeline))
        .route("/api/v1/pipelines/{name}/pause", post(pause))
        .route("/api/v1/pipelines/{name}/resume", post(resume))
        .route("/api/v1/pipelines/{name}/train", post(train))
        .route("/api/v1/pipelines/{name}/rollback", post(rollback))
        .route("/api/v1/pipelines/{name}/generate", post(generate))
        .route("/api/v1/models", get(models))
        .route("/api/v1/models/{id}", get(model))
        .route("/api/v1/models/{id}/promote", post(promote))
        .route("/api/v1/events", get(events::events))
        .route("/-/reload", post(reload))
        .fallback(nothing)
        .method_not_allowed_fallback(not_so)
        .with_state(shared)
        .layer(axum::middleware::from_fn_with_state(rules, guard::guard))
}

async fn nothing(uri: Uri) -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "there is nothing here: `/api/v1/openapi.json` lists what there is").at(&uri)
}

async fn not_so(uri: Uri) -> Problem {
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "this path takes another method: see `/api/v1/openapi.json`").at(&uri)
}

/// Runs an action on a thread that may block; a panic in it is a problem like any other.
async fn act<T: Send + 'static>(
    shared: &Shared,
    uri: &Uri,
    action: impl FnOnce(&dyn Actions) -> Result<T, ActionError> + Send + 'static,
) -> Result<T, Problem> {
    let actions = Arc::clone(&shared.actions);
    let done = tokio::task::spawn_blocking(move || action(&*actions)).await;
    match done {
        Ok(result) => result.map_err(|error| Problem::from(error).at(uri)),
        Err(error) => {
            tracing::error!(target: "latentd", path = uri.path(), "an action of the API ended by a panic: {error}");
            let detail = "the action ended by a panic: the log has more";
            Err(Problem::new(StatusCode::INTERNAL_SERVER_ERROR, detail).at(uri))
        }
    }
}

/// A page for people
#[utoipa::path(get, path = "/", tag = "state", responses((status = 200, description = "HTML", content_type = "text/html", body = String)))]
async fn index(State(shared): State<Shared>) -> Html<String> {
    Html(page::render(&shared.board))
}

/// Metrics in Prometheus' text format
#[utoipa::path(get, path = "/metrics", tag = "health", responses((status = 200, description = "Series (docs/metrics.md)", content_type = "text/plain", body = String)))]
async fn metrics(State(shared): State<Shared>) -> Response {
    let mut response = shared.board.metrics().render().into_response();
    let text = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, text);
    response
}

/// Whether the process moves: if not, restart it
#[utoipa::path(get, path = "/livez", tag = "health", responses((status = 200, description = "It moves", content_type = "text/plain", body = String),
    (status = 503, description = "A thread is stuck", body = Problem)))]
async fn livez(State(shared): State<Shared>, uri: Uri) -> Response {
    let stuck = shared.board.liveness().stuck();
    if stuck.is_empty() {
        return "ok\n".into_response();
    }
    let detail: Vec<String> = stuck.iter().map(ToString::to_string).collect();
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail.join("; ")).at(&uri).into_response()
}

/// Whether every pipeline does its work, and if not, why
#[utoipa::path(get, path = "/readyz", tag = "health", responses((status = 200, description = "All do", body = Readiness),
    (status = 503, description = "Some do not, for these reasons", body = Readiness)))]
async fn readyz(State(shared): State<Shared>) -> (StatusCode, Json<Readiness>) {
    let readiness = shared.board.readiness();
    let status = if readiness.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(readiness))
}

/// All pipelines
#[utoipa::path(get, path = "/api/v1/pipelines", tag = "state", responses((status = 200, description = "By name", body = Vec<PipelineSnapshot>)))]
async fn pipelines(State(shared): State<Shared>) -> Json<Vec<PipelineSnapshot>> {
    Json(shared.board.pipelines().iter().map(|pipeline| pipeline.snapshot()).collect())
}

/// One pipeline
#[utoipa::path(get, path = "/api/v1/pipelines/{name}", tag = "state", params(("name" = String, Path, description = "The pipeline")),
    responses((status = 200, description = "Its state", body = PipelineSnapshot), (status = 404, description = "There is none", body = Problem)))]
async fn pipeline(
    State(shared): State<Shared>,
    Path(name): Path<String>,
    uri: Uri,
) -> Result<Json<PipelineSnapshot>, Problem> {
    let pipeline = shared.board.pipeline(&name);
    pipeline
        .map(|pipeline| Json(pipeline.snapshot()))
        .ok_or_else(|| Problem::new(StatusCode::NOT_FOUND, format!("there is no pipeline `{name}`")).at(&uri))
}

/// Finish the open transaction and consume nothing more; partitions are kept
#[utoipa::path(post, path = "/api/v1/pipelines/{name}/pause", tag = "control", params(("name" = String, Path, description = "The pipeline")),
    responses((status = 202, description = "Asked for"), (status = 404, description = "There is none", body = Problem)))]
async fn pause(State(shared): State<Shared>, Path(name): Path<String>, uri: Uri) -> Result<StatusCode, Problem> {
    act(&shared, &uri, move |actions| actions.pause(&name)).await.map(|()| StatusCode::ACCEPTED)
}

/// Go on after a pause
#[utoipa::path(post, path = "/api/v1/pipelines/{name}/resume", tag = "control", params(("name" = String, Path, description = "The pipeline")),
    responses((status = 202, description = "Asked for"), (status = 404, description = "There is none", body = Problem)))]
async fn resume(State(shared): State<Shared>, Path(name): Path<String>, uri: Uri) -> Result<StatusCode, Problem> {
    act(&shared, &uri, move |actions| actions.resume(&name)).await.map(|()| StatusCode::ACCEPTED)
}

/// Train a pipeline's model as soon as there is enough to learn from, whatever it costs; what comes of it is judged as ever
#[utoipa::path(post, path = "/api/v1/pipelines/{name}/train", tag = "models", params(("name" = String, Path, description = "The pipeline")),
    responses((status = 202, description = "It was asked; `learning` of the pipeline says how it goes"), (status = 404, description = "There is no such pipeline", body = Problem),
        (status = 409, description = "It learns nothing, or another process trains it", body = Problem)))]
async fn train(State(shared): State<Shared>, Path(name): Path<String>, uri: Uri) -> Result<StatusCode, Problem> {
    act(&shared, &uri, move |actions| actions.train(&name)).await.map(|()| StatusCode::ACCEPTED)
}

/// Draw records from the model that a pipeline publishes from, while it may; nothing is published
#[utoipa::path(post, path = "/api/v1/pipelines/{name}/generate", tag = "models", params(("name" = String, Path, description = "The pipeline")),
    request_body(content = GenerateRequest, description = "How many; ten under seed 0 without a body"),
    responses((status = 200, description = "The records", body = Generated), (status = 422, description = "What is asked for makes no sense, or the generator cannot do it", body = Problem),
        (status = 404, description = "There is no such pipeline", body = Problem), (status = 409, description = "It generates nothing, or its gates hold records back", body = Problem)))]
async fn generate(
    State(shared): State<Shared>,
    Path(name): Path<String>,
    uri: Uri,
    body: Bytes,
) -> Result<Json<Generated>, Problem> {
    let text: &[u8] = if body.is_empty() { b"{}" } else { &body };
    let request: GenerateRequest = serde_json::from_slice(text)
        .map_err(|error| Problem::from(ActionError::Invalid(format!("the body is no request: {error}"))).at(&uri))?;
    act(&shared, &uri, move |actions| actions.generate(&name, &request)).await.map(Json)
}

/// The manifests of all models in the registry
#[utoipa::path(get, path = "/api/v1/models", tag = "models", responses((status = 200, description = "Manifests", body = Vec<Value>),
    (status = 503, description = "The registry does not answer", body = Problem)))]
async fn models(State(shared): State<Shared>, uri: Uri) -> Result<Json<Vec<Value>>, Problem> {
    act(&shared, &uri, |actions| actions.models()).await.map(Json)
}

/// The manifest of one model
#[utoipa::path(get, path = "/api/v1/models/{id}", tag = "models", params(("id" = String, Path, description = "Its id, or the beginning of it")),
    responses((status = 200, description = "Its manifest", body = Value), (status = 404, description = "There is none", body = Problem),
        (status = 503, description = "The registry does not answer", body = Problem)))]
async fn model(State(shared): State<Shared>, Path(id): Path<String>, uri: Uri) -> Result<Json<Value>, Problem> {
    act(&shared, &uri, move |actions| actions.model(&id)).await.map(Json)
}

/// Where a model is put to use.
#[derive(serde::Deserialize, utoipa::IntoParams)]
struct Promotion {
    /// The pipeline, unless it is the one that the model was made for
    pipeline: Option<String>,
}

/// Put a model to use; running daemons take it at their next look, between two transactions
#[utoipa::path(post, path = "/api/v1/models/{id}/promote", tag = "models", params(("id" = String, Path, description = "Its id, or the beginning of it"), Promotion),
    responses((status = 200, description = "What is in force", body = Value), (status = 404, description = "There is no such model or pipeline", body = Problem),
        (status = 503, description = "The registry does not answer", body = Problem)))]
async fn promote(
    State(shared): State<Shared>,
    Path(id): Path<String>,
    Query(promotion): Query<Promotion>,
    uri: Uri,
) -> Result<Json<Value>, Problem> {
    act(&shared, &uri, move |actions| actions.promote(&id, promotion.pipeline.as_deref())).await.map(Json)
}

/// What is rolled back.
#[derive(serde::Deserialize, utoipa::IntoParams)]
struct Rollback {
    /// What the model is for: `codec` unless it is written, or `generator`
    #[serde(default)]
    #[param(inline)]
    of: Role,
}

/// Take a pipeline's last promotion back; running daemons take the model before it at their next look
#[utoipa::path(post, path = "/api/v1/pipelines/{name}/rollback", tag = "models", params(("name" = String, Path, description = "The pipeline"), Rollback),
    responses((status = 200, description = "What is in force", body = Value), (status = 404, description = "There is no such pipeline", body = Problem),
        (status = 409, description = "Somebody else changed it at the same time", body = Problem),
        (status = 422, description = "It uses no model", body = Problem), (status = 503, description = "The registry does not answer", body = Problem)))]
async fn rollback(
    State(shared): State<Shared>,
    Path(name): Path<String>,
    Query(rollback): Query<Rollback>,
    uri: Uri,
) -> Result<Json<Value>, Problem> {
    act(&shared, &uri, move |actions| actions.rollback(&name, rollback.of)).await.map(Json)
}

/// Read the configuration again: a bad one changes nothing and says why
#[utoipa::path(post, path = "/-/reload", tag = "control", responses((status = 200, description = "What changed", body = ReloadSummary),
    (status = 409, description = "Something changed that asks for a restart", body = Problem),
    (status = 422, description = "The configuration has errors", body = Problem)))]
async fn reload(State(shared): State<Shared>, uri: Uri) -> Result<Json<ReloadSummary>, Problem> {
    act(&shared, &uri, |actions| actions.reload()).await.map(Json)
}

/// This description
#[utoipa::path(get, path = "/api/v1/openapi.json", tag = "state", responses((status = 200, description = "OpenAPI 3.1", body = Value)))]
async fn description() -> Json<utoipa::openapi::OpenApi> {
    Json(openapi())
}
