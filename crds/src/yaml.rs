//! Manifests and the CRD as YAML.
