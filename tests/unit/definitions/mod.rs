// SPDX-License-Identifier: GPL-2.0-or-later
//! Definitions: what is read from them, what is refused, how they are marked and how they are found.

pub(crate) mod facts;
pub(crate) mod marks;
mod paths;
mod properties;
mod refused;
mod tpm;
mod xl;
