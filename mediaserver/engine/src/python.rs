//! The Python module `mediaserver._engine`.

use pyo3::prelude::*;

#[pymodule]
fn _engine(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(crate::python_sdp::parse_sdp, module)?)?;
    Ok(())
}
