"""All outgoing SMTP. The only importer of aiosmtplib; knows neither the queue nor a template."""
