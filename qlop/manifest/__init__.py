"""YAML text in, a desired state out, with a finding for everything that is wrong."""
