.PHONY: lint test demo docs coverage
lint:      ; bash scripts/test.sh --checks
test:      ; bash scripts/test.sh
demo:      ; bash scripts/demo.sh
docs:      ; .venv/bin/python scripts/tools/draw_architecture.py && .venv/bin/python scripts/tools/write_tables.py && .venv/bin/python -m mkdocs build --strict
coverage:  ; .venv/bin/python scripts/tools/coverage_floor.py --alone
