//! Writes a history, line by line, while it happens. A run that dies leaves all but its last few lines.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use super::lines::{End, Header, Line, VERSION};

/// A history that is being written.
#[derive(Debug)]
pub struct Writer<W: Write = BufWriter<File>> {
    out: W,
    lines: u64,
}

impl Writer {
    /// Starts a history in a new file.
    ///
    /// # Errors
    /// Where the file cannot be made or written.
    pub fn create(path: &Path, header: Header) -> io::Result<Self> {
        Self::new(BufWriter::new(File::create(path)?), header)
    }
}

impl<W: Write> Writer<W> {
    /// Starts a history with its header.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn new(out: W, header: Header) -> io::Result<Self> {
        let mut writer = Writer { out, lines: 0 };
        writer.write(&Line::Header(Header {
            version: VERSION,
            ..header
        }))?;
        Ok(writer)
    }

    /// Adds a line; gives its number.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn write(&mut self, line: &Line) -> io::Result<u64> {
        serde_json::to_writer(&mut self.out, line)?;
        self.out.write_all(b"\n")?;
        self.lines += 1;
        Ok(self.lines)
    }

    /// Hands what is buffered to the system: before something that may end this process.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    /// Adds the last line, at a time of the run's clock, and gives back what was written to.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn end(mut self, at_ns: u64) -> io::Result<W> {
        let lines = self.lines;
        self.write(&Line::End(End { at_ns, lines }))?;
        self.out.flush()?;
        Ok(self.out)
    }
}
