//! A report as CSV (RFC 4180), with a first line of names. The last three columns of every line say of which state it is.

use axum::body::Body;
use axum::response::Response;
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue};

use super::super::call::parameter;
use super::super::error::{Code, Problem};
use super::super::views::AsOf;

/// How a report is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Json,
    Csv,
}

impl Format {
    /// As the parameter says; without one, CSV where the caller accepts it and does not accept JSON before it.
    pub(super) fn of(parameter_text: Option<&str>, headers: &HeaderMap) -> Result<Self, Problem> {
        match parameter_text {
            Some("json") => return Ok(Self::Json),
            Some("csv") => return Ok(Self::Csv),
            Some(_) => return Err(parameter("format", "it must be `json` or `csv`")),
            None => {}
        }
        let accepted = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
        for media in accepted.flat_map(|value| value.split(',')) {
            match media
                .split(';')
                .next()
                .map(|media| media.trim().to_ascii_lowercase())
                .as_deref()
            {
                Some("text/csv") => return Ok(Self::Csv),
                Some("application/json") => return Ok(Self::Json),
                _ => {}
            }
        }
        Ok(Self::Json)
    }
}

/// Lines of a report.
pub(super) struct Sheet {
    writer: csv::Writer<Vec<u8>>,
    as_of: [String; 3],
    names_written: bool,
    broken: Option<csv::Error>,
}

impl Sheet {
    /// Of this state.
    pub(super) fn of(as_of: &AsOf) -> Self {
        Self {
            writer: csv::WriterBuilder::new()
                .terminator(csv::Terminator::CRLF)
                .from_writer(Vec::with_capacity(4 * 1024)),
            as_of: [
                as_of.shard.to_string(),
                as_of.index.to_string(),
                as_of.time.clone().unwrap_or_default(),
            ],
            names_written: false,
            broken: None,
        }
    }

    /// Adds a line; the first are the columns' names.
    pub(super) fn row(&mut self, columns: &[&str]) {
        let names = ["as_of_shard", "as_of_index", "as_of_time"];
        let state = self.as_of.each_ref().map(String::as_str);
        let last = if self.names_written { state } else { names };
        self.names_written = true;
        let written = self.writer.write_record(columns.iter().copied().chain(last));
        if let Err(error) = written {
            self.broken.get_or_insert(error);
        }
    }

    /// The answer.
    pub(super) fn finish(self) -> Result<Response, Problem> {
        let failed = |error: String| {
            tracing::error!(error, "a report cannot be written as CSV");
            Problem::new(Code::Internal, "The report cannot be written as CSV.")
        };
        if let Some(error) = self.broken {
            return Err(failed(error.to_string()));
        }
        let bytes = self.writer.into_inner().map_err(|error| failed(error.to_string()))?;
        let mut response = Response::new(Body::from(bytes));
        let content_type = HeaderValue::from_static("text/csv; charset=utf-8; header=present");
        response.headers_mut().insert(CONTENT_TYPE, content_type);
        Ok(response)
    }
}
