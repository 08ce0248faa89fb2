// SPDX-License-Identifier: GPL-2.0-or-later
//! A failure is told with the step that it came at, as its caller decides by it (nothing was touched before `Call`) and by
//! libvirt's number. An error that could be anything would have to be taken apart again for both.

use virt::error::Error;
use vm_agent::model::worker::{CallStep, ErrorReply};

/// Says at which step an error came.
pub(crate) trait During<T> {
    fn during(self, step: CallStep) -> Result<T, ErrorReply>;
}

impl<T> During<T> for Result<T, Error> {
    fn during(self, during: CallStep) -> Result<T, ErrorReply> {
        self.map_err(|error| ErrorReply {
            code: error.code().to_raw(),
            domain: error.domain().to_raw(),
            during,
            message: error.message().to_owned(),
        })
    }
}

/// An error that is not libvirt's.
impl<T> During<T> for Result<T, String> {
    fn during(self, during: CallStep) -> Result<T, ErrorReply> {
        self.map_err(|message| own(during, message))
    }
}

/// A failure that is not libvirt's.
pub(crate) fn own(during: CallStep, message: impl Into<String>) -> ErrorReply {
    ErrorReply { code: 0, domain: 0, during, message: message.into() }
}
