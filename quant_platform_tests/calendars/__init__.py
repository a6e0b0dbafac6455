"""Calendars: sessions against published history, arithmetic against its definition."""
