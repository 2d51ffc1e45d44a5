"""
For an Airflow whose image has this code on its path but not installed as a package: mount this folder as its
plugins folder. An installed package needs nothing here, and having both does no harm.
"""

from cis_provider.plugin import CisPlugin

__all__ = ["CisPlugin"]
