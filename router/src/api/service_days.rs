//! The parameters `from` and `to` of what is asked for by service day.

use rotunda_booking::time::ServiceDay;

use super::call::parameter;
use super::error::Problem;

/// From the first to the last service day, both included; the last is the first where it is left out. At most `most` days.
pub(super) fn read(from: Option<String>, to: Option<String>, most: i32) -> Result<(ServiceDay, ServiceDay), Problem> {
    let day = |name: &str, text: &str| {
        text.parse::<ServiceDay>()
            .map_err(|error| parameter(name, error.to_string()))
    };
    let from = from.ok_or_else(|| parameter("from", "it is missing; write a day as 2027-01-15"))?;
    let from = day("from", &from)?;
    let to = to.map_or(Ok(from), |text| day("to", &text))?;
    if to < from {
        return Err(parameter("to", "it is before `from`"));
    }
    if to.0.saturating_sub(from.0) >= most {
        return Err(parameter("to", format!("at most {most} days at once")));
    }
    Ok((from, to))
}
