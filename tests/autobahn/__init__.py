"""How to run Autobahn|Testsuite against a supervisor; README.md says it. No tests."""
