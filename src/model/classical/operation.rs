//! What classical augmentation does to a real record.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// An operation. Each record is made by one, which its lineage names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Operation {
    /// Of rows: between a row and one of its nearest neighbours (Chawla et al. 2002, *SMOTE: Synthetic Minority Over-sampling
    /// Technique*, 6.1).
    SmoteNc,
    /// Of rows: numbers move to near ones. Of images: brightness and contrast change.
    Jitter,
    /// Of images: a part, as large as the whole was.
    Crop,
    /// Of images: some samples to a side, up or down.
    Shift,
    /// Of images: left and right change places.
    Flip,
    /// Of images: a normal number is added to each sample.
    Noise,
    /// Of images: a mean of two of one class (Zhang et al. 2018, arXiv:1710.09412).
    Mixup,
}

/// There is no such operation, or it is none of what it was asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "there is no operation `{0}`: there are smote-nc and jitter of rows, and crop, shift, flip, noise, jitter and mixup of images"
)]
pub struct UnknownOperation(String);

impl Operation {
    /// All.
    pub const ALL: [Self; 7] =
        [Self::SmoteNc, Self::Jitter, Self::Crop, Self::Shift, Self::Flip, Self::Noise, Self::Mixup];
    /// Those of rows.
    pub const OF_ROWS: [Self; 2] = [Self::SmoteNc, Self::Jitter];
    /// Those of images.
    pub const OF_IMAGES: [Self; 6] = [Self::Crop, Self::Shift, Self::Flip, Self::Noise, Self::Jitter, Self::Mixup];

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::SmoteNc => "smote-nc",
            Self::Jitter => "jitter",
            Self::Crop => "crop",
            Self::Shift => "shift",
            Self::Flip => "flip",
            Self::Noise => "noise",
            Self::Mixup => "mixup",
        }
    }

    /// What made a record, as `ce_latentdgenerator` says it: the family and the operation.
    pub const fn lineage(self) -> &'static str {
        match self {
            Self::SmoteNc => "classical/smote-nc",
            Self::Jitter => "classical/jitter",
            Self::Crop => "classical/crop",
            Self::Shift => "classical/shift",
            Self::Flip => "classical/flip",
            Self::Noise => "classical/noise",
            Self::Mixup => "classical/mixup",
        }
    }

    /// Why some operations cannot be a model's: there are none, one twice, or one that is not of `these`.
    pub(in crate::model) fn fault(operations: &[Self], these: &[Self]) -> Option<&'static str> {
        let is_twice = |(place, operation)| operations[..place].contains(operation);
        if operations.is_empty() {
            Some("it has no operation")
        } else if operations.iter().enumerate().any(is_twice) {
            Some("it has an operation twice")
        } else if !operations.iter().all(|operation| these.contains(operation)) {
            Some("it has an operation that is none of what it draws")
        } else {
            None
        }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Operation {
    type Err = UnknownOperation;

    fn from_str(name: &str) -> Result<Self, UnknownOperation> {
        let known = Self::ALL.into_iter().find(|operation| operation.name() == name);
        known.ok_or_else(|| UnknownOperation(name.to_owned()))
    }
}

impl TryFrom<String> for Operation {
    type Error = UnknownOperation;

    fn try_from(name: String) -> Result<Self, UnknownOperation> {
        name.parse()
    }
}

impl From<Operation> for String {
    fn from(operation: Operation) -> Self {
        operation.name().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_are_read_by_their_names_and_named_in_lineage() {
        for operation in Operation::ALL {
            assert_eq!(operation.name().parse(), Ok(operation));
            assert_eq!(operation.lineage(), format!("classical/{operation}"));
            let json = serde_json::to_string(&operation).unwrap();
            assert_eq!(serde_json::from_str::<Operation>(&json).unwrap(), operation);
        }
        assert!("smote".parse::<Operation>().unwrap_err().to_string().contains("smote-nc"));
        let fault = |operations: &[Operation]| Operation::fault(operations, &Operation::OF_ROWS);
        assert_eq!(fault(&[Operation::Jitter, Operation::SmoteNc]), None);
        for operations in [&[][..], &[Operation::Jitter; 2], &[Operation::Crop]] {
            assert!(fault(operations).is_some(), "{operations:?}");
        }
    }
}
