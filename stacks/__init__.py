"""The CloudFormation stacks: what is deployed to the admin account and to the member accounts."""
