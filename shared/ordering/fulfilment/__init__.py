"""The process manager of submitted orders: it has each one paid and confirmed when its stock is there, or cancels it.

`decisions.py` says what to do next, `process_manager.py` does it, and `repository.py` stores a row for each order. An
order's submission begins its process. What advances it: `event_handlers/fulfil_order.py` and, when it has waited too
long, `jobs/act_on_deadlines.py`. Operators read it by `views/processes.py`, and move its deadline by
`commands/move_deadline.py`.
"""
