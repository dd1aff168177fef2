"""Stream-IT: what a data set's own files say becomes streamit/1; then it is checked, varied, labelled and told."""
