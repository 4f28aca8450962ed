//! Reports for managers: who came, what was sold, who did not come. As JSON, or as CSV for spreadsheets.
//!
//! All numbers of a report are of one state, which `as_of` names, and its money is that of the ledger at that index. Sales
//! are by the time of the sale: the router works out which instants the local midnights of the days are.

mod sheet;

use std::collections::BTreeMap;

use axum::response::Response;
use rotunda_booking::admission::FootfallView;
use rotunda_booking::command::Channel;
use rotunda_booking::query::{Answer, MAX_REPORT_DAYS, NoShowRow, Query, SalesRow};
use rotunda_booking::time::{ServiceDay, Timestamp};
use serde::Serialize;
use utoipa::ToSchema;

use self::sheet::{Format, Sheet};
use super::call::{Call, Segments, current, uncached, unknown_venue};
use super::error::{Problem, ProblemBody};
use super::gates::unknown_zone;
use super::service_days;
use super::venues::known;
use super::views::{AsOf, ChannelName, Money, channel_label};
use crate::venue_clock::VenueClock;

/// Who came and went.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct FootfallReport<'a> {
    /// Venue id.
    venue: &'a str,
    #[schema(format = Date)]
    from: String,
    #[schema(format = Date)]
    to: String,
    /// The hour of all these days in which most came.
    #[serde(skip_serializing_if = "Option::is_none")]
    peak: Option<Peak>,
    /// Days on which somebody came.
    days: Vec<FootfallDay>,
    /// In order of day, hour and product.
    hours: Vec<FootfallHour<'a>>,
    as_of: AsOf,
}

/// The hour in which most people came, over all products; the first, where there are several.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Peak {
    #[schema(format = DateTime)]
    hour: String,
    entered: u64,
}

/// One day.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct FootfallDay {
    #[schema(format = Date)]
    day: String,
    entered: u64,
    left: u64,
    visitors: u64,
    peak: Peak,
}

/// One product in one hour.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct FootfallHour<'a> {
    /// Service day of the tickets.
    #[schema(format = Date)]
    day: String,
    /// It begins, in the venue's local time.
    #[schema(format = DateTime)]
    hour: String,
    product: &'a str,
    /// Entries, those of people who came back included.
    entered: u32,
    left: u32,
    /// Tickets that were admitted for the first time.
    visitors: u32,
}

/// What was sold, by ticket type.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RevenueReport<'a> {
    /// Venue id.
    venue: &'a str,
    #[schema(format = Date)]
    from: String,
    #[schema(format = Date)]
    to: String,
    /// In order of product and unit.
    rows: Vec<RevenueRow<'a>>,
    total: Revenue<'a>,
    as_of: AsOf,
}

/// One ticket type.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RevenueRow<'a> {
    product: &'a str,
    unit: &'a str,
    #[serde(flatten)]
    revenue: Revenue<'a>,
}

/// What was sold, by channel.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ChannelsReport<'a> {
    /// Venue id.
    venue: &'a str,
    #[schema(format = Date)]
    from: String,
    #[schema(format = Date)]
    to: String,
    rows: Vec<ChannelRow<'a>>,
    total: Revenue<'a>,
    as_of: AsOf,
}

/// One channel.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ChannelRow<'a> {
    channel: ChannelName,
    #[serde(flatten)]
    revenue: Revenue<'a>,
}

/// Sold less taken back.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Revenue<'a> {
    /// Units.
    quantity: i64,
    /// Tax included.
    gross: Money<'a>,
    /// Contained in `gross`.
    tax: Money<'a>,
    /// `gross` less `tax`.
    net: Money<'a>,
}

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
                ("format" = Option<String>, Query, description = "`json` or `csv`; where left out, `Accept` decides"),
            ),
            responses(
                (status = 200, content(($body = "application/json"), (String = "text/csv"))),
                (status = "default", body = ProblemBody, content_type = "application/problem+json"),
            ),
            security(("token" = [])),
        )]
        pub(crate) async fn $name(call: Call, Segments(slug): Segments<String>) -> Result<Response, Problem> {
            call.staff()?;
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

async fn footfall_of(call: &Call, asked: &Asked) -> Result<Response, Problem> {
    let venue = call.venue(&asked.slug, "{venue}")?;
    let query = Query::Footfall {
        venue: venue.number,
        from: asked.from,
        to: asked.to,
    };
    let answered = call.query(&query, venue.shard).await?;
    let Answer::Footfall { time, rows, .. } = answered.answer else {
        return Err(unknown_venue(&asked.slug, "{venue}"));
    };
    let days = days_of(&rows);
    let peak = days.iter().filter_map(|day| day.peak.as_ref());
    let report = FootfallReport {
        venue: &asked.slug,
        from: asked.from.to_string(),
        to: asked.to.to_string(),
        peak: first_highest(peak).map(Counted::peak),
        hours: rows.iter().map(FootfallHour::of).collect(),
        days: days.iter().filter_map(Day::shown).collect(),
        as_of: as_of(answered.shard, answered.index, time),
    };
    asked.answer(&report.as_of, &report, |sheet| {
        sheet.row(&[
            "day",
            "hour",
            "product",
            "entered",
            "left",
            "visitors",
            "peak_hour_of_day",
        ]);
        for hour in &report.hours {
            let day = report.days.iter().find(|day| day.day == hour.day);
            let is_peak = day.is_some_and(|day| day.peak.hour == hour.hour);
            sheet.row(&[
                &hour.day,
                &hour.hour,
                hour.product,
                &hour.entered.to_string(),
                &hour.left.to_string(),
                &hour.visitors.to_string(),
                if is_peak { "true" } else { "false" },
            ]);
        }
    })
}

impl<'a> FootfallHour<'a> {
    fn of(row: &'a FootfallView) -> Self {
        Self {
            day: row.day.to_string(),
            hour: row.hour.to_rfc3339(row.offset_minutes),
            product: &row.product,
            entered: row.entered,
            left: row.left,
            visitors: row.visitors,
        }
    }
}

/// Entries of one hour, over all products.
#[derive(Clone, Debug)]
struct Counted {
    hour: Timestamp,
    offset_minutes: i16,
    entered: u64,
}

impl Counted {
    fn peak(&self) -> Peak {
        Peak {
            hour: self.hour.to_rfc3339(self.offset_minutes),
            entered: self.entered,
        }
    }
}

/// Sums of one day.
#[derive(Debug)]
struct Day {
    day: ServiceDay,
    entered: u64,
    left: u64,
    visitors: u64,
    peak: Option<Counted>,
}

impl Day {
    fn shown(&self) -> Option<FootfallDay> {
        Some(FootfallDay {
            day: self.day.to_string(),
            entered: self.entered,
            left: self.left,
            visitors: self.visitors,
            peak: self.peak.as_ref()?.peak(),
        })
    }
}

fn days_of(rows: &[FootfallView]) -> Vec<Day> {
    let mut days: BTreeMap<ServiceDay, BTreeMap<Timestamp, (Counted, u64, u64)>> = BTreeMap::new();
    for row in rows {
        let hours = days.entry(row.day).or_default();
        let (counted, left, visitors) = hours.entry(row.hour).or_insert_with(|| {
            let counted = Counted {
                hour: row.hour,
                offset_minutes: row.offset_minutes,
                entered: 0,
            };
            (counted, 0, 0)
        });
        counted.entered += u64::from(row.entered);
        *left += u64::from(row.left);
        *visitors += u64::from(row.visitors);
    }
    let sums = days.into_iter().map(|(day, hours)| Day {
        day,
        entered: hours.values().map(|(counted, ..)| counted.entered).sum(),
        left: hours.values().map(|(_, left, _)| left).sum(),
        visitors: hours.values().map(|(.., visitors)| visitors).sum(),
        peak: first_highest(hours.values().map(|(counted, ..)| counted)).cloned(),
    });
    sums.collect()
}

fn first_highest<'a>(hours: impl Iterator<Item = &'a Counted>) -> Option<&'a Counted> {
    hours.reduce(|best, hour| if hour.entered > best.entered { hour } else { best })
}

/// What the ledger says was sold between the local midnights around the days.
struct Sold {
    currency: String,
    rows: Vec<SalesRow>,
    as_of: AsOf,
}

impl Sold {
    async fn ask(call: &Call, asked: &Asked) -> Result<Self, Problem> {
        let slug = &asked.slug;
        let venue = call.venue(slug, "{venue}")?;
        let known = known(call, slug).await?;
        let clock = VenueClock::of(&known.definition).ok_or_else(|| unknown_zone(slug))?;
        let midnight = |day: ServiceDay| clock.midnight(day).ok_or_else(|| unknown_zone(slug));
        let query = Query::Sales {
            venue: venue.number,
            from: midnight(asked.from)?,
            to: midnight(asked.to.plus_days(1))?,
        };
        let answered = call.query(&query, venue.shard).await?;
        match answered.answer {
            Answer::Sales { currency, rows, time } => Ok(Self {
                currency,
                rows,
                as_of: as_of(answered.shard, answered.index, time),
            }),
            _ => Err(unknown_venue(slug, "{venue}")),
        }
    }

    fn revenue<'a>(&'a self, sums: &Sums) -> Revenue<'a> {
        let money = |amount| Money::new(amount, &self.currency);
        Revenue {
            quantity: sums.quantity,
            gross: money(sums.gross),
            tax: money(sums.tax),
            net: money(sums.gross.saturating_sub(sums.tax)),
        }
    }

    fn total(&self) -> Sums {
        let mut total = Sums::default();
        self.rows.iter().for_each(|row| total.add(row));
        total
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Sums {
    quantity: i64,
    gross: i64,
    tax: i64,
}

impl Sums {
    fn add(&mut self, row: &SalesRow) {
        self.quantity = self.quantity.saturating_add(row.quantity);
        self.gross = self.gross.saturating_add(row.gross);
        self.tax = self.tax.saturating_add(row.tax);
    }

    /// As columns, with the currency.
    fn columns(&self, currency: &str) -> [String; 5] {
        [
            self.quantity.to_string(),
            self.gross.to_string(),
            self.tax.to_string(),
            self.gross.saturating_sub(self.tax).to_string(),
            currency.to_owned(),
        ]
    }
}

/// Names of [`Sums::columns`]; amounts are in minor units, as everywhere.
const SUMS: [&str; 5] = ["quantity", "gross", "tax", "net", "currency"];

async fn revenue_of(call: &Call, asked: &Asked) -> Result<Response, Problem> {
    let sold = Sold::ask(call, asked).await?;
    let mut types: BTreeMap<(&str, &str), Sums> = BTreeMap::new();
    for row in &sold.rows {
        types.entry((&row.product, &row.unit)).or_default().add(row);
    }
    let rows = types.iter().map(|((product, unit), sums)| RevenueRow {
        product,
        unit,
        revenue: sold.revenue(sums),
    });
    let report = RevenueReport {
        venue: &asked.slug,
        from: asked.from.to_string(),
        to: asked.to.to_string(),
        rows: rows.collect(),
        total: sold.revenue(&sold.total()),
        as_of: sold.as_of.clone(),
    };
    asked.answer(&sold.as_of, &report, |sheet| {
        sheet.row(&[&["product", "unit"], &SUMS[..]].concat());
        for ((product, unit), sums) in &types {
            let columns = sums.columns(&sold.currency);
            let names = [*product, *unit].into_iter();
            sheet.row(&names.chain(columns.iter().map(String::as_str)).collect::<Vec<_>>());
        }
    })
}

async fn channels_of(call: &Call, asked: &Asked) -> Result<Response, Problem> {
    let sold = Sold::ask(call, asked).await?;
    let mut channels: BTreeMap<Channel, Sums> = BTreeMap::new();
    for row in &sold.rows {
        channels.entry(row.channel).or_default().add(row);
    }
    let rows = channels.iter().map(|(channel, sums)| ChannelRow {
        channel: (*channel).into(),
        revenue: sold.revenue(sums),
    });
    let report = ChannelsReport {
        venue: &asked.slug,
        from: asked.from.to_string(),
        to: asked.to.to_string(),
        rows: rows.collect(),
        total: sold.revenue(&sold.total()),
        as_of: sold.as_of.clone(),
    };
    asked.answer(&sold.as_of, &report, |sheet| {
        sheet.row(&[&["channel"], &SUMS[..]].concat());
        for (channel, sums) in &channels {
            let columns = sums.columns(&sold.currency);
            let name = [channel_label(*channel)].into_iter();
            sheet.row(&name.chain(columns.iter().map(String::as_str)).collect::<Vec<_>>());
        }
    })
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
    let shown = |row: &'_ NoShowRow| row.sold.saturating_sub(row.admitted);
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
                no_shows: shown(row),
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
