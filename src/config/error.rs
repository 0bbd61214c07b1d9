//! What is wrong with a configuration, shown with the place where it is wrong.

use std::fmt::Write as _;
use std::path::PathBuf;

use super::node::Origin;
use super::resolve::is_secret;

/// How messages look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// Text only.
    Plain,
    /// With colour.
    Terminal,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The key, as `pipelines.flights.codec`; empty when it is the file itself.
    pub key: String,
    /// What is wrong, and what would be right.
    pub message: String,
    /// Where it stands.
    pub origin: Origin,
}

/// Everything that is wrong with a configuration.
#[derive(Clone)]
pub struct ConfigErrors {
    pub(super) path: PathBuf,
    pub(super) text: String,
    pub(super) problems: Vec<Problem>,
}

/// Something that is allowed and probably not what was meant.
#[derive(Clone, PartialEq, Eq)]
pub struct Notice {
    pub(super) path: PathBuf,
    pub(super) text: String,
    pub(super) problem: Problem,
}

impl ConfigErrors {
    /// The problems.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// All of them as text, with the lines they stand in.
    pub fn rendered(&self, style: Style) -> String {
        let mut text: Vec<String> =
            self.problems.iter().map(|problem| render("error", problem, &self.path, &self.text, style)).collect();
        if self.problems.len() > 1 {
            text.push(format!("{} errors in `{}`; nothing was changed", self.problems.len(), self.path.display()));
        }
        text.join("\n")
    }
}

impl std::fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.rendered(Style::Plain))
    }
}

/// As it is displayed: the file's text may hold secrets.
impl std::fmt::Debug for ConfigErrors {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for ConfigErrors {}

impl std::fmt::Debug for Notice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.rendered(Style::Plain))
    }
}

impl Notice {
    /// It as text, with the line it stands in.
    pub fn rendered(&self, style: Style) -> String {
        render("notice", &self.problem, &self.path, &self.text, style)
    }
}

fn render(what: &str, problem: &Problem, path: &std::path::Path, text: &str, style: Style) -> String {
    let (bold, red, blue, off) = match style {
        Style::Plain => ("", "", "", ""),
        Style::Terminal => ("\x1b[1m", "\x1b[1;31m", "\x1b[1;34m", "\x1b[0m"),
    };
    let mut out = format!("{red}{what}{off}: {bold}");
    if !problem.key.is_empty() {
        let _ = write!(out, "`{}`: ", problem.key);
    }
    let _ = write!(out, "{}{off}", problem.message);
    match &problem.origin {
        Origin::Default => {
            let _ = write!(out, "\n  {blue}-->{off} {}", path.display());
        }
        Origin::Variable(name) => {
            let _ = write!(out, "\n  {blue}-->{off} environment variable {name}");
        }
        // The line may be the secret.
        Origin::File { line, column, .. } if is_secret(&problem.key) => {
            let _ = write!(out, "\n  {blue}-->{off} {}:{line}:{column}", path.display());
        }
        Origin::File { line, column, length } => {
            let number = line.to_string();
            let gap = " ".repeat(number.len());
            let source = text.lines().nth(line - 1).unwrap_or_default();
            let marks = "^".repeat((*length).clamp(1, source.chars().count().saturating_sub(column - 1).max(1)));
            let indent = " ".repeat(column - 1);
            let _ = write!(
                out,
                "\n{gap} {blue}-->{off} {}:{line}:{column}\n{gap} {blue}|{off}\n{blue}{number} |{off} {source}\n\
                 {gap} {blue}|{off} {indent}{red}{marks}{off}",
                path.display()
            );
        }
    }
    out
}
