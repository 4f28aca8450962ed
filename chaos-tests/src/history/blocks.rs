//! A file's lines, read in blocks and parsed on all cores.

use std::io::{self, BufRead, Read as _};
use std::ops::ControlFlow;

use crate::cores;

/// A core parses about so many bytes at a time.
const BLOCK: usize = 2 << 20;
/// A longer line is none of ours: an entry has 256 KiB, written as digits, and its replies a few times that.
const LONGEST_LINE: usize = 64 << 20;

/// Parses every line and takes the results in the order of the file, until `take` has had enough. A line comes with its
/// end, which the last one may lack.
///
/// # Errors
/// Where the file cannot be read, or a line is too long; the lines before it have been taken.
pub(super) fn each_line<T: Send>(
    mut input: impl BufRead,
    parse: impl Fn(&[u8]) -> T + Sync,
    mut take: impl FnMut(T) -> ControlFlow<()>,
) -> io::Result<()> {
    loop {
        let mut blocks: Vec<Block> = Vec::new();
        let mut read = Ok(());
        while blocks.len() < cores::count() && read.is_ok() {
            let mut block = Block::default();
            read = block.fill(&mut input);
            if block.ends.is_empty() {
                break;
            }
            blocks.push(block);
        }
        if blocks.is_empty() {
            return read;
        }
        let parsed = cores::map(&blocks, |block| block.lines().map(&parse).collect::<Vec<T>>());
        for line in parsed.into_iter().flatten() {
            if take(line).is_break() {
                return Ok(());
            }
        }
        read?;
    }
}

/// Lines one behind the other.
#[derive(Default)]
struct Block {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Block {
    fn fill(&mut self, input: &mut impl BufRead) -> io::Result<()> {
        while self.bytes.len() < BLOCK {
            let count = input
                .by_ref()
                .take(LONGEST_LINE as u64)
                .read_until(b'\n', &mut self.bytes)?;
            match count {
                0 => break,
                LONGEST_LINE => {
                    let text = format!("it is longer than {LONGEST_LINE} bytes; the rest is not read");
                    return Err(io::Error::other(text));
                }
                _ => self.ends.push(self.bytes.len()),
            }
        }
        Ok(())
    }

    fn lines(&self) -> impl Iterator<Item = &[u8]> {
        let begins = std::iter::once(0).chain(self.ends.iter().copied());
        begins
            .zip(&self.ends)
            .filter_map(|(from, to)| self.bytes.get(from..*to))
    }
}
