"""The funnel simulator, whose potential conversions are known."""
