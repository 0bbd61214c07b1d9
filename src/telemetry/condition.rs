//! What a pipeline shows: its own word and those of its workers, as one state with one reason.

use super::state::PipelineState;

/// A state, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Condition {
    /// The state.
    pub state: PipelineState,
    /// Why, when there is something to say.
    pub reason: Option<String>,
}

impl Default for Condition {
    fn default() -> Self {
        Self::new(PipelineState::Starting, "")
    }
}

impl Condition {
    /// This state for this reason (empty: nothing to say).
    pub fn new(state: PipelineState, reason: &str) -> Self {
        Self { state, reason: (!reason.is_empty()).then(|| reason.to_owned()) }
    }

    /// What the whole shows. While the pipeline itself says that it runs, it does what its workers do: it waits when
    /// one of them waits, and it is paused when all of them are. What else it says of itself holds whatever they say.
    pub fn of_whole<'a>(own: &'a Self, workers: impl Iterator<Item = &'a Self>) -> &'a Self {
        if own.state != PipelineState::Running {
            return own;
        }
        workers.min_by_key(|worker| rank(worker.state)).unwrap_or(own)
    }
}

/// The lower, the more it says about the whole.
const fn rank(state: PipelineState) -> u8 {
    match state {
        PipelineState::Failed => 0,
        PipelineState::Waiting => 1,
        PipelineState::Starting => 2,
        PipelineState::Draining => 3,
        PipelineState::Running => 4,
        PipelineState::Paused => 5,
        PipelineState::Stopped => 6,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use PipelineState::*;

    fn whole(own: PipelineState, workers: &[PipelineState]) -> PipelineState {
        let workers: Vec<_> = workers.iter().map(|state| Condition::new(*state, "")).collect();
        Condition::of_whole(&Condition::new(own, ""), workers.iter()).state
    }

    #[test]
    fn one_worker_in_trouble_is_trouble_whatever_the_others_do() {
        assert_eq!(whole(Running, &[Running, Waiting]), Waiting);
        assert_eq!(whole(Running, &[Waiting, Starting]), Waiting);
        assert_eq!(whole(Running, &[Running, Starting]), Starting);
        assert_eq!(whole(Running, &[Running, Running]), Running);
        assert_eq!(whole(Running, &[]), Running);
    }

    #[test]
    fn a_pause_is_one_once_all_workers_rest() {
        assert_eq!(whole(Running, &[Paused, Running]), Running);
        assert_eq!(whole(Running, &[Paused, Paused]), Paused);
        assert_eq!(whole(Running, &[Paused, Waiting]), Waiting);
    }

    #[test]
    fn what_the_pipeline_says_of_itself_no_worker_takes_back() {
        for own in [Starting, Waiting, Draining, Stopped, Failed] {
            assert_eq!(whole(own, &[Running, Waiting]), own);
        }
    }

    #[test]
    fn of_two_reasons_the_first_worker_s_is_shown() {
        let own = Condition::new(Running, "");
        let workers = [Condition::new(Running, ""), Condition::new(Waiting, "a"), Condition::new(Waiting, "b")];
        assert_eq!(Condition::of_whole(&own, workers.iter()).reason.as_deref(), Some("a"));
    }
}
