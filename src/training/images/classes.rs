//! Which images are of which class.

use std::collections::BTreeMap;

use crate::model::images::Class;
use crate::model::mixture::FEWEST;

/// Classes that have images enough to draw others like them.
#[derive(Debug)]
pub(super) struct Classes {
    /// Each, and the numbers of its images.
    pub members: Vec<(Class, Vec<usize>)>,
    /// Images of the others.
    pub left_out: usize,
}

impl Classes {
    /// Of so many images; without labels all are of one class.
    pub fn of(images: usize, labels: &[String]) -> Self {
        let mut by_label: BTreeMap<Option<&String>, Vec<usize>> = BTreeMap::new();
        (0..images).for_each(|number| by_label.entry(labels.get(number)).or_default().push(number));
        let mut classes = Self { members: Vec::new(), left_out: 0 };
        for (label, members) in by_label {
            if members.len() < FEWEST {
                classes.left_out += members.len();
                continue;
            }
            let class = Class { label: label.cloned(), images: members.len() as u32 };
            classes.members.push((class, members));
        }
        classes
    }
}
