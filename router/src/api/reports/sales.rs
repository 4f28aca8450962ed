//! What was sold less what was taken back, by ticket type and by channel: what the ledger says was sold between the local
//! midnights around the days.

use std::collections::BTreeMap;

use axum::response::Response;
use rotunda_booking::command::Channel;
use rotunda_booking::query::{Answer, Query, SalesRow};
use rotunda_booking::time::ServiceDay;
use serde::Serialize;
use utoipa::ToSchema;

use super::super::call::{Call, unknown_venue};
use super::super::error::Problem;
use super::super::gates::unknown_zone;
use super::super::venues::known;
use super::super::views::{AsOf, ChannelName, Money, channel_label};
use super::{Asked, as_of};
use crate::venue_clock::VenueClock;

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

pub(super) async fn revenue_of(call: &Call, asked: &Asked) -> Result<Response, Problem> {
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

pub(super) async fn channels_of(call: &Call, asked: &Asked) -> Result<Response, Problem> {
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
