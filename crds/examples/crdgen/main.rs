//! Writes the CRD and its reference to where they are committed.
//!
//! An example and not a binary of the crate, so that nothing ships it; it writes the files itself, because a
//! shell redirection would empty them when the build fails.

mod reference;

use std::error::Error;

use moorline_crds::yaml;

fn main() -> Result<(), Box<dyn Error>> {
    let crates = env!("CARGO_MANIFEST_DIR");
    std::fs::write(format!("{crates}/websocketroutes.moorline.dev.yaml"), yaml::crd()?)?;
    std::fs::write(format!("{crates}/../docs/crd-reference.md"), reference::markdown()?)?;
    Ok(())
}
