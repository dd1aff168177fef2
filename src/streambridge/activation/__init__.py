"""When to speak: gates, and the trigger that turns scores into fires. Knows no session and no backbone's insides."""
