//! Reports for managers: who came, what was sold, who did not come. As JSON, or as CSV for spreadsheets.
//!
//! All numbers of a report are of one state, which `as_of` names, and its money is that of the ledger at that index. Sales
//! are by the time of the sale: the router works out which instants the local midnights of the days are.

mod footfall;
mod sales;
mod sheet;

use axum::response::Response;
use rotunda_booking::query::{Answer, MAX_REPORT_DAYS, NoShowRow, Query};
use rotunda_booking::time::{ServiceDay, Timestamp};
use serde::Serialize;
use utoipa::ToSchema;

use self::footfall::{FootfallReport, footfall_of};
use self::sales::{ChannelsReport, RevenueReport, channels_of, revenue_of};
use self::sheet::{Format, Sheet};
use super::call::{Call, Segments, current, uncached, unknown_venue};
use super::error::{Problem, ProblemBody};
use super::service_days;
use super::views::AsOf;

/// Who had a ticket and did not come.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct NoShowsReport<'a> {
    /// Venue id.
    venue: &'a str,
    #[schema(format = Date)]
    from: String,
    #[schema(format = Date)]
    to: String,
    /// In order of day and product; only of slots that are over.
    rows: Vec<NoShows<'a>>,
    as_of: AsOf,
}

/// One product on one service day.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct NoShows<'a> {
    #[schema(format = Date)]
    day: String,
    product: &'a str,
    /// Places sold in slots that are over.
    sold: u64,
    /// Tickets that were admitted.
    admitted: u64,
    /// The rest.
    no_shows: u64,
}

/// A route that answers with one report. What they take and say around it is the same for all.
macro_rules! report {
    ($(#[$doc:meta])* $name:ident $path:literal $body:ty, $answer:ident) => {
        $(#[$doc])*
        #[utoipa::path(
            get, path = $path, tag = "reports",
            params(
                ("venue" = String, Path, description = "Venue id"),
                ("from" = String, Query, description = "First service day, as `2027-01-15`"),
                ("to" = Option<String>, Query, description = "Last service day, included; `from` where left out"),
                ("format" = Option<String>, Query, pattern = "^(json|csv)$", description = "`json` or `csv`; where left out, `Accept` decides"),
            ),
            responses(
                (status = 200, content(($body = "application/json"), (String = "text/csv"))),
                (status = "default", body = ProblemBody, content_type = "application/problem+json"),
            ),
        )]
        pub(crate) async fn $name(call: Call, Segments(slug): Segments<String>) -> Result<Response, Problem> {
            let asked = Asked::of(&call, slug)?;
            $answer(&call, &asked).await
        }
    };
}

report! {
    /// Who came and went, by hour and by day, with the peak hours.
    ///
    /// Days are service days at the venue, those of the tickets, both included, at most 366.
    footfall "/v1/venues/{venue}/reports/footfall" FootfallReport, footfall_of
}

report! {
    /// What was sold less what was taken back, by ticket type.
    ///
    /// By the time of the sale: from local midnight of the first day to that after the last, both included, at most 366.
    /// The total is that of the ledger's `sales` and `tax` in that time, to the cent.
    revenue "/v1/venues/{venue}/reports/revenue" RevenueReport, revenue_of
}

report! {
    /// What was sold less what was taken back, by channel.
    ///
    /// By the time of the sale: from local midnight of the first day to that after the last, both included, at most 366.
    channels "/v1/venues/{venue}/reports/channels" ChannelsReport, channels_of
}

report! {
    /// Who had a ticket and did not come.
    ///
    /// Days are service days at the venue, both included, at most 366. Of slots that are not over nothing is said.
    no_shows "/v1/venues/{venue}/reports/no-shows" NoShowsReport, no_shows_of
}

/// What every report is asked for.
struct Asked {
    slug: String,
    from: ServiceDay,
    to: ServiceDay,
    format: Format,
}

impl Asked {
    fn of(call: &Call, slug: String) -> Result<Self, Problem> {
        let [from, to, format] = call.parameters(["from", "to", "format"])?;
        let (from, to) = service_days::read(from, to, MAX_REPORT_DAYS)?;
        let format = Format::of(format.as_deref(), &call.headers)?;
        Ok(Self { slug, from, to, format })
    }

    /// The report as it was asked for.
    fn answer(
        &self,
        as_of: &AsOf,
        report: &impl Serialize,
        sheet: impl FnOnce(&mut Sheet),
    ) -> Result<Response, Problem> {
        let (shard, index) = (as_of.shard, as_of.index);
        match self.format {
            Format::Json => Ok(current(shard, index, report)),
            Format::Csv => {
                let mut rows = Sheet::of(as_of);
                sheet(&mut rows);
                Ok(uncached(shard, index, rows.finish()?))
            }
        }
    }
}

fn as_of(shard: u64, index: u64, time: Timestamp) -> AsOf {
    AsOf {
        shard,
        index,
        time: Some(time.to_rfc3339(0)),
    }
}

async fn no_shows_of(call: &Call, asked: &Asked) -> Result<Response, Problem> {
    let venue = call.venue(&asked.slug, "{venue}")?;
    let query = Query::NoShows {
        venue: venue.number,
        from: asked.from,
        to: asked.to,
    };
    let answered = call.query(&query, venue.shard).await?;
    let Answer::NoShows { rows, time } = answered.answer else {
        return Err(unknown_venue(&asked.slug, "{venue}"));
    };
    let missing = |row: &NoShowRow| row.sold.saturating_sub(row.admitted);
    let report = NoShowsReport {
        venue: &asked.slug,
        from: asked.from.to_string(),
        to: asked.to.to_string(),
        rows: rows
            .iter()
            .map(|row| NoShows {
                day: row.day.to_string(),
                product: &row.product,
                sold: row.sold,
                admitted: row.admitted,
                no_shows: missing(row),
            })
            .collect(),
        as_of: as_of(answered.shard, answered.index, time),
    };
    asked.answer(&report.as_of, &report, |sheet| {
        sheet.row(&["day", "product", "sold", "admitted", "no_shows"]);
        for row in &report.rows {
            let counts = [row.sold, row.admitted, row.no_shows].map(|count| count.to_string());
            sheet.row(&[&row.day, row.product, &counts[0], &counts[1], &counts[2]]);
        }
    })
}
