//! The HTTP side of the daemon: page, API, metrics, health, events.
//!
//! It runs on a thread and a runtime of its own, so that nothing the daemon does can silence it. It reads the status
//! board and asks for actions through a trait; it decides nothing.

mod actions;
mod connection;
mod events;
mod guard;
mod page;
mod problem;
mod routes;
mod server;

pub use actions::{
    ActionError, Actions, GenerateRequest, Generated, GeneratedHeader, GeneratedRecord, ReloadSummary, Role,
};
pub use routes::openapi;
pub use server::{AdminError, AdminHandle, AdminServer, AdminSettings};
