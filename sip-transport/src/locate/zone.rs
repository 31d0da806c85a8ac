//! A table of records in the place of the DNS: for tests, and for users who know their servers.

use core::net::IpAddr;
use std::collections::HashMap;

use super::{Answer, LocateError, Located, Locator, LookupError, Naptr, Question, Srv};

/// Records by their names, as a zone file has them. Letter case and a dot at the end of a name make no
/// difference.
///
/// A name that has records of any kind exists: asked for another kind it has none. Any other name does not
/// exist.
#[derive(Clone, Debug, Default)]
pub struct Zone {
    names: HashMap<String, Records>,
}

#[derive(Clone, Debug, Default)]
struct Records {
    naptr: Vec<Naptr>,
    srv: Vec<Srv>,
    addresses: Vec<IpAddr>,
    failure: Option<LookupError>,
}

impl Zone {
    /// Adds a NAPTR record of `name`.
    pub fn naptr(mut self, name: &str, record: Naptr) -> Self {
        self.records(name).naptr.push(record);
        self
    }

    /// Adds an SRV record of `name`.
    pub fn srv(mut self, name: &str, record: Srv) -> Self {
        self.records(name).srv.push(record);
        self
    }

    /// Adds an A or AAAA record of `name`.
    pub fn host(mut self, name: &str, address: IpAddr) -> Self {
        self.records(name).addresses.push(address);
        self
    }

    /// Lets every question about `name` end like that.
    pub fn failure(mut self, name: &str, error: LookupError) -> Self {
        self.records(name).failure = Some(error);
        self
    }

    /// What this table says.
    ///
    /// # Errors
    ///
    /// [`LookupError::NoSuchName`] for a name without any record, and what [`failure`](Self::failure) set.
    pub fn answer(&self, question: &Question) -> Result<Answer, LookupError> {
        let records = self.names.get(&canonical(question.name())).ok_or(LookupError::NoSuchName)?;
        if let Some(error) = records.failure {
            return Err(error);
        }
        Ok(match question {
            Question::Naptr(_) => Answer::Naptr(records.naptr.clone()),
            Question::Srv(_) => Answer::Srv(records.srv.clone()),
            Question::Host(_) => Answer::Host(records.addresses.clone()),
        })
    }

    /// Runs a procedure to its end with the answers of this table.
    ///
    /// # Errors
    ///
    /// What the procedure ends with.
    pub fn locate(&self, locator: Result<Locator, LocateError>) -> Result<Located, LocateError> {
        let mut locator = locator?;
        loop {
            if let Some(outcome) = locator.outcome() {
                return outcome;
            }
            // Without an outcome a question is open, and all that were asked are answered.
            let Some((number, question)) = locator.poll_question() else {
                return Err(LookupError::Failed.into());
            };
            locator.answer(number, self.answer(&question));
        }
    }

    fn records(&mut self, name: &str) -> &mut Records {
        self.names.entry(canonical(name)).or_default()
    }
}

fn canonical(name: &str) -> String {
    name.trim_end_matches('.').to_ascii_lowercase()
}
