"""Words to bytes: templates, inline mails and the finished RFC 5322 message. Pure after loading."""
