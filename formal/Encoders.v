(* "E is any map": minimising over encoders, with Top_m, is minimising over m-sparse codes.

   Top_m makes every column m-sparse (top_sparse), leaves an m-sparse one as it is
   (top_of_sparse), and any latents, equal for equal samples, come from some encoder
   (encoder_exists). So a bound over sparse codes is one over encoders (least_over_encoders), and
   a sparse code matrix is attained by an encoder (encoder_of_codes). *)
From Coq Require Import Reals Lra Lia List Bool.
From OSAE Require Import Sums Losses.
Import ListNotations.
Open Scope R_scope.

Lemma beats_irreflexive z j : beats z j j = false.
Proof.
  unfold beats. destruct (Rlt_dec _ _); [lra|]. destruct (Req_EM_T _ _); auto.
  apply Nat.ltb_irrefl.
Qed.

Lemma beats_total z j k : j <> k -> beats z j k = true \/ beats z k j = true.
Proof.
  intros H. unfold beats.
  repeat destruct (Rlt_dec _ _); auto; repeat destruct (Req_EM_T _ _); try lra.
  rewrite !Nat.ltb_lt. lia.
Qed.

Lemma beats_transitive z i j k : beats z i j = true -> beats z j k = true -> beats z i k = true.
Proof.
  unfold beats.
  repeat destruct (Rlt_dec _ _); auto; repeat destruct (Req_EM_T _ _); auto; try lra;
    try discriminate.
  rewrite !Nat.ltb_lt. lia.
Qed.

(* Whoever beats k beats j as well if k beats j: ranks differ. *)
Lemma rank_less K z j k :
  (k < K)%nat -> beats z j k = true -> (rank K z k < rank K z j)%nat.
Proof.
  intros Hk B. unfold rank.
  change (S (length (filter (beats z k) (seq 0 K))) <= length (filter (beats z j) (seq 0 K)))%nat.
  change (length (k :: filter (beats z k) (seq 0 K)) <= length (filter (beats z j) (seq 0 K)))%nat.
  apply NoDup_incl_length.
  - constructor; [|apply NoDup_filter, seq_NoDup].
    rewrite filter_In, beats_irreflexive. now intros [_ H].
  - intros i [<-|Hi]; apply filter_In.
    + split; [apply in_seq; lia|exact B].
    + apply filter_In in Hi as [Hi B']. split; [exact Hi|]. now apply beats_transitive with k.
Qed.

Lemma NoDup_map_injective {A B} (f : A -> B) l :
  (forall x y, In x l -> In y l -> f x = f y -> x = y) -> NoDup l -> NoDup (map f l).
Proof.
  induction l as [|a l IH]; intros I D; simpl; constructor; inversion D; subst.
  - intros H. apply in_map_iff in H as [x [E H]].
    apply I in E; simpl; auto. now subst.
  - apply IH; auto. intros; apply I; simpl; auto.
Qed.

Lemma top_sparse K m z : sparse K m (top K m z).
Proof.
  exists (filter (fun j => rank K z j <? m)%nat (seq 0 K)). split.
  - rewrite <- (map_length (rank K z)), <- (seq_length m 0). apply NoDup_incl_length.
    + apply NoDup_map_injective; [|apply NoDup_filter, seq_NoDup].
      intros j k Hj Hk E. apply filter_In, proj1, in_seq in Hj. apply filter_In, proj1,
        in_seq in Hk.
      destruct (Nat.eq_dec j k) as [|N]; auto.
      destruct (beats_total z j k N) as [B|B]; apply (rank_less K) in B; try lia.
    + intros r H. apply in_map_iff in H as [j [<- H]].
      rewrite seq_length in H. apply filter_In, proj2, Nat.ltb_lt in H. apply in_seq; lia.
  - intros j Hj N. apply filter_In. split; [apply in_seq; lia|].
    unfold top in N. destruct (rank K z j <? m)%nat; congruence.
Qed.

Lemma top_of_sparse K m y : sparse K m y -> forall j, (j < K)%nat -> top K m y j = y j.
Proof.
  intros [s [Hs Hy]] j Hj. unfold top. destruct (Nat.ltb_spec (rank K y j) m) as [|L]; auto.
  destruct (Req_EM_T (y j) 0) as [E|N]; auto. exfalso.
  enough (S (rank K y j) <= length s)%nat by lia. unfold rank.
  change (length (j :: filter (beats y j) (seq 0 K)) <= length s)%nat. apply NoDup_incl_length.
  - constructor; [|apply NoDup_filter, seq_NoDup].
    rewrite filter_In, beats_irreflexive. now intros [_ H].
  - intros k [<-|Hk]; [now apply Hy|]. apply filter_In in Hk as [Hk B]. apply in_seq in Hk.
    apply Hy; [lia|]. intros Z. unfold beats in B. rewrite Z, Rabs_R0 in B.
    pose proof (Rabs_pos_lt _ N).
    destruct (Rlt_dec _ _); [lra|]. destruct (Req_EM_T _ _); [lra|discriminate].
Qed.

(* Top_m reads K latents only. *)
Lemma top_ext K m z z' :
  (forall j, (j < K)%nat -> z j = z' j) -> forall j, (j < K)%nat -> top K m z j = top K m z' j.
Proof.
  intros H j Hj. unfold top. rewrite (H j Hj).
  replace (rank K z j) with (rank K z' j); auto. unfold rank. f_equal.
  apply filter_ext_in. intros k Hk. apply in_seq in Hk. unfold beats.
  now rewrite (H j Hj), (H k) by lia.
Qed.

(* The encoder that looks a sample up. *)
Definition same (d : nat) (x y : vec) : bool :=
  forallb (fun i => if Req_EM_T (x i) (y i) then true else false) (seq 0 d).

Lemma same_spec d x y : same d x y = true <-> forall i, (i < d)%nat -> x i = y i.
Proof.
  unfold same. rewrite forallb_forall. split; intros H i Hi.
  - specialize (H i). destruct (Req_EM_T (x i) (y i)); auto.
    discriminate H. apply in_seq; lia.
  - apply in_seq in Hi. destruct (Req_EM_T (x i) (y i)) as [|E]; auto. elim E. apply H; lia.
Qed.

Definition consistent (d K N : nat) (X Z : mat) : Prop :=
  forall n n', (n < N)%nat -> (n' < N)%nat -> (forall i, (i < d)%nat -> X i n = X i n') ->
  forall j, (j < K)%nat -> Z j n = Z j n'.

Lemma encoder_exists d K N X Z : consistent d K N X Z ->
  exists E, encoder d K E /\
  forall n, (n < N)%nat -> forall j, (j < K)%nat -> E (col X n) j = Z j n.
Proof.
  intros C.
  exists (fun x => match find (fun n => same d x (col X n)) (seq 0 N) with
                   | Some n => col Z n | None => fun _ => 0 end). split.
  - intros x x' H j Hj.
    replace (find (fun n => same d x' (col X n)) (seq 0 N))
      with (find (fun n => same d x (col X n)) (seq 0 N)); auto.
    induction (seq 0 N) as [|n l IH]; simpl; auto.
    replace (same d x' (col X n)) with (same d x (col X n)); [now rewrite IH|].
    apply eq_true_iff_eq. rewrite !same_spec.
    split; intros S i Hi; [rewrite <- H|rewrite H]; auto.
  - intros n Hn j Hj. destruct (find _ _) as [n'|] eqn:F.
    + apply find_some in F as [Hn' S]. apply in_seq in Hn'. rewrite same_spec in S.
      symmetry. apply C; auto; [lia].
    + exfalso. assert (T : same d (col X n) (col X n) = true) by (apply same_spec; auto).
      rewrite (find_none _ _ F n) in T by (apply in_seq; lia). discriminate.
Qed.

(* Losses of codes read coordinates below d and K only. *)
Lemma residual_ext D l x y y' i :
  (forall j, (j < l)%nat -> y j = y' j) -> residual D l x y i = residual D l x y' i.
Proof. intros H. unfold residual. f_equal. apply sum_ext; intros j Hj. now rewrite H. Qed.

Lemma code_loss_ext d K N X l D Y Y' :
  (l <= K)%nat -> (forall j n, (j < K)%nat -> (n < N)%nat -> Y j n = Y' j n) ->
  code_loss d N X l D Y = code_loss d N X l D Y'.
Proof.
  intros Hl H. apply sum_ext; intros n Hn. apply sum_ext; intros i _.
  rewrite (residual_ext D l (col X n) (col Y n) (col Y' n)); auto.
  intros; apply H; [lia|auto].
Qed.

Lemma nested_code_loss_ext d K N p X D Y Y' :
  (forall j n, (j < K)%nat -> (n < N)%nat -> Y j n = Y' j n) ->
  nested_code_loss d K N p X D Y = nested_code_loss d K N p X D Y'.
Proof.
  intros H. apply sum_ext; intros k Hk. now rewrite (code_loss_ext d K N X (S k) D Y Y').
Qed.

Lemma codes_sparse K N m X E : sparse_columns K N m (codes K m X E).
Proof. intros n _. apply top_sparse. Qed.

Lemma nested_loss_of_codes d K N m p X D E :
  nested_loss d K N m p X D E = nested_code_loss d K N p X D (codes K m X E).
Proof. reflexivity. Qed.

(* A bound over unit atoms and m-sparse codes is one over encoders. *)
Lemma least_over_encoders d K N m p X b :
  (forall D Y, unit_norm d K D -> sparse_columns K N m Y -> b <= nested_code_loss d K N p X D Y) ->
  forall D E, unit_norm d K D -> encoder d K E -> b <= nested_loss d K N m p X D E.
Proof. intros H D E U _. apply H; auto using codes_sparse. Qed.

(* Sparse codes, equal for equal samples, are attained by an encoder. *)
Lemma encoder_of_codes d K N m X Y :
  sparse_columns K N m Y -> consistent d K N X Y ->
  exists E, encoder d K E /\
    (forall j n, (j < K)%nat -> (n < N)%nat -> E (col X n) j = Y j n) /\
    forall j n, (j < K)%nat -> (n < N)%nat -> codes K m X E j n = Y j n.
Proof.
  intros S C. destruct (encoder_exists d K N X Y C) as [E [HE H]].
  exists E. repeat split; auto. intros j n Hj Hn. unfold codes.
  rewrite (top_ext K m _ (col Y n)) by (auto; now apply H). now apply (top_of_sparse K m (col Y n)
    (S n Hn)).
Qed.

(* So a point (D, Y) that attains a lower bound is a minimiser, with its encoder. *)
Lemma minimiser_of_codes d K N m p X D Y :
  unit_norm d K D -> sparse_columns K N m Y -> consistent d K N X Y ->
  (forall D' Y', unit_norm d K D' -> sparse_columns K N m Y' ->
     nested_code_loss d K N p X D Y <= nested_code_loss d K N p X D' Y') ->
  exists E, minimises d K (nested_loss d K N m p X) D E /\
    (forall j n, (j < K)%nat -> (n < N)%nat -> E (col X n) j = Y j n) /\
    forall j n, (j < K)%nat -> (n < N)%nat -> codes K m X E j n = Y j n.
Proof.
  intros U S C B. destruct (encoder_of_codes d K N m X Y S C) as [E [HE [H H']]].
  exists E. repeat split; auto. intros D' E' U' HE'.
  rewrite nested_loss_of_codes, (nested_code_loss_ext d K N p X D _ Y); auto.
  now apply least_over_encoders.
Qed.

(* And L_K of that encoder is that of the codes. *)
Lemma full_loss_of_codes d K N m X D Y E :
  (forall j n, (j < K)%nat -> (n < N)%nat -> codes K m X E j n = Y j n) ->
  full_loss d K N m X D E = code_loss d N X K D Y.
Proof. intros H. now apply (code_loss_ext d K). Qed.
