//! Parts of the views: blocks of records, and of the links of all lists.

use serde::{Deserialize, Serialize};

use super::{
    Views,
    lists::{Link, LinkBlock},
    records::{Record, RecordBlock},
};
use crate::parts::{PartId, Parted};

const RECORDS: u8 = 0;
const LINKS: u8 = 1;

/// A part of the views that is whole.
#[derive(Debug, Serialize)]
pub struct WholePart<'a>(Blocks<&'a [Record], &'a [Link]>);

/// A part of the views that was read.
#[derive(Debug, Deserialize)]
pub struct Part(Blocks<RecordBlock, LinkBlock>);

#[derive(Debug, Serialize, Deserialize)]
enum Blocks<R, L> {
    Records(R),
    Links(L),
}

impl Views {
    /// The parts that are whole.
    pub fn parts(&self) -> impl Iterator<Item = (PartId, WholePart<'_>)> {
        let id = |of| move |number| PartId { of, number };
        let records = self.records.blocks().whole().map(|block| WholePart(Blocks::Records(block)));
        let links = self.links.blocks().whole().map(|block| WholePart(Blocks::Links(block)));
        (0..).map(id(RECORDS)).zip(records).chain((0..).map(id(LINKS)).zip(links))
    }
}

impl Parted for Views {
    type Part = Part;

    fn put(&mut self, PartId { of, number }: PartId, Part(part): Part) -> bool {
        match (of, part) {
            (RECORDS, Blocks::Records(block)) => self.records.blocks_mut().put(number as usize, block),
            (LINKS, Blocks::Links(block)) => self.links.blocks_mut().put(number as usize, block),
            _ => false,
        }
    }

    fn is_complete(&self) -> bool {
        self.records.blocks().is_complete() && self.links.blocks().is_complete()
    }
}
